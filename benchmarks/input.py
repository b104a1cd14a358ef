"""How fast clips come from TFRecord shards, against decoding the videos they were made of.

    python -m benchmarks.input [--videos=12] [--seconds=10]

Makes videos (H.264, 640x360, 30 frames a second, with the encoder's usual distance of key frames),
converts them, and in the same process, on the same cores and clips, reads training clips of 8
frames of 224x224 pixels

- from the shards, with `data_pipeline.batches.input.train_batches`;
- (a) from the videos, with PyAV seeking to the key frame before each of the 8 frames;
- (b) from the videos, with PyAV decoding all frames and keeping 8.

Each prints clips a second, by the clock and by the time of the processor, which other work on the
machine touches less; the ratios are the result. (a) and (b) use as many threads as the pipeline.
Before that the speed of conversion, in seconds of video a second, with 1 and 2 processes; after it
that of evaluation, whose clips have four views in three crops each.

At the end, how many cores of such a host keep a device busy that trains at an estimated speed.
"""

import argparse
import importlib
import itertools
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np

from animal_clip_jax.tables import format_table
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.batches.crops import multi_scale_crops, resize_bilinear
from data_pipeline.batches.sampling import training_positions
from data_pipeline.conversion.dataset_writer import Options, convert

WIDTH, HEIGHT, RATE = 640, 360, 30
NUM_FRAMES, IMAGE_SIZE = 8, 224
REPEATS = 3
TEMPORAL_VIEWS, CROPS = 4, 3
# The configuration of benchmarks/compiled.py: what its names begin with, and what they are of.
COMPILED = "ViT-B/16, 8 frames, bfloat16"
COMPILED_BATCH, COMPILED_CHIPS, V5E_CLOCK = 64, 4, 1.5e9


def write_video(path: Path, seconds: int, seed: int) -> None:
    """A textured background that pans, with a patch that moves over it, and some noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (24, 40, 3), np.uint8)
    background = resize_bilinear(coarse[None], 2 * WIDTH)[0, :HEIGHT]
    patch = random.integers(0, 256, (60, 60, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for k in range(seconds * RATE):
            image = background[:, k : k + WIDTH].copy()
            top, left = 100 + int(60 * np.sin(k / 20)), (3 * k) % (WIDTH - 60)
            image[top : top + 60, left : left + 60] = patch
            noise = random.integers(-4, 5, (HEIGHT, WIDTH, 1))
            image = np.clip(image + noise, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())


def sampled(num_frames: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the frames of a training clip, and its crop."""
    indices = training_positions(np.array([num_frames]), random.random((1, NUM_FRAMES)))[0]
    crop = multi_scale_crops(np.array([HEIGHT]), np.array([WIDTH]), random.random((1, 2)))[0]
    return indices, crop


def cut(frame: av.VideoFrame, crop: np.ndarray) -> np.ndarray:
    """The crop of a frame at the size of the model's input."""
    top, left, height, width = crop
    image = frame.to_ndarray(format="rgb24")[top : top + height, left : left + width]
    cropped = av.VideoFrame.from_ndarray(np.ascontiguousarray(image, np.uint8))
    return cropped.reformat(width=IMAGE_SIZE, height=IMAGE_SIZE, threads=1).to_ndarray()


def clip_by_seeking(path: Path, random: np.random.Generator) -> np.ndarray:
    """(a): to the key frame before each frame sampled, and on from there."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        assert stream.time_base is not None
        indices, crop = sampled(stream.frames, random)
        frames = []
        for index in indices:
            time_stamp = int(index / (RATE * stream.time_base))
            container.seek(time_stamp, stream=stream, backward=True)
            for frame in container.decode(stream):
                assert frame.pts is not None
                if frame.pts >= time_stamp:
                    frames.append(cut(frame, crop))
                    break
    return np.stack(frames)


def clip_by_decoding_all(path: Path, random: np.random.Generator) -> np.ndarray:
    """(b): from the first frame to the last."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        indices, crop = sampled(stream.frames, random)
        wanted = set(indices.tolist())
        frames = [
            cut(frame, crop)
            for number, frame in enumerate(container.decode(stream))
            if number in wanted
        ]
    return np.stack(frames)


def processor_seconds() -> float:
    """User and system time of this process and of those that it has started and that ended."""
    return sum(os.times()[:4])


def clips_per_second(work: Callable[[], int]) -> tuple[float, float]:
    """Best rate of `REPEATS` runs of `work`, by the clock and by the time of the processor."""
    rates = []
    for _ in range(REPEATS):
        start, start_of_cores = time.perf_counter(), processor_seconds()
        clips = work()
        wall, cores = time.perf_counter() - start, processor_seconds() - start_of_cores
        rates.append((clips / wall, clips / cores))
    return max(rates)


def from_videos(
    read: Callable[[Path, np.random.Generator], np.ndarray], paths: list[Path], threads: int
) -> Callable[[], int]:
    """Reads every video once, `threads` at a time: PyAV decodes without the interpreter's lock."""

    def work() -> int:
        with ThreadPoolExecutor(threads) as pool:
            randoms = [np.random.default_rng(seed) for seed in range(len(paths))]
            clips = list(pool.map(read, paths, randoms))
        return sum(clip.shape == (NUM_FRAMES, IMAGE_SIZE, IMAGE_SIZE, 3) for clip in clips)

    return work


def from_shards(dataset: Path, threads: int, num_clips: int) -> Callable[[], int]:
    """Reads as many clips as `num_clips` or a few more, with the pipeline already running."""
    # Here, not above: the processes of a conversion import this module.
    from data_pipeline.batches.input import train_batches

    batches = train_batches(
        dataset,
        num_frames=NUM_FRAMES,
        image_size=IMAGE_SIZE,
        batch_size=4,
        seed=0,
        num_workers=threads,
    )
    for _ in itertools.islice(batches, 5):  # graph and buffers
        pass

    def work() -> int:
        return sum(len(batch["frames"]) for batch in itertools.islice(batches, -(-num_clips // 4)))

    return work


def evaluated(dataset: Path, threads: int) -> Callable[[], int]:
    """Reads all clips as evaluation does, a view of a batch after the other."""
    from data_pipeline.batches.input import streamed_evaluation_batches

    def work() -> int:
        clips = 0
        for batch in streamed_evaluation_batches(
            dataset,
            split="train",
            num_frames=NUM_FRAMES,
            image_size=IMAGE_SIZE,
            batch_size=4,
            num_temporal_views=TEMPORAL_VIEWS,
            num_crops=CROPS,
            num_workers=threads,
        ):
            assert sum(1 for _ in batch["frames"]) == TEMPORAL_VIEWS * CROPS
            clips += int(batch["mask"].sum())
        return clips

    return work


def clips_of_a_v5e() -> float:
    """Clips a second that a chip trains on, of the fastest training step that is recorded."""
    recorded = json.loads(Path(__file__).with_name("compiled.json").read_text())["figures"]
    cycles = min(
        figures["Mcycles"] * 1e6
        for name, figures in recorded.items()
        if name.startswith(COMPILED) and "prediction" not in name and "Mcycles" in figures
    )
    return COMPILED_BATCH / COMPILED_CHIPS / (cycles / V5E_CLOCK)


def clips_of_an_h100(mfu: float) -> float:
    """Clips a second that one trains on at a share of its peak, by the operations on paper."""
    from animal_clip_jax.estimates.theory import training_flops
    from animal_clip_jax.parallel.accelerator import peak_flops_of
    from animal_clip_jax.run.assembly import model_description
    from animal_clip_jax.run.start import as_published
    from configs import animal_kingdom

    config = as_published(animal_kingdom.get_config())
    clip = training_flops(
        model_description(config.model),
        num_actions=config.data.num_actions,
        num_animals=config.data.num_animals,
    )
    peak = peak_flops_of("NVIDIA H100")
    assert peak is not None
    return mfu * peak / clip


def conversion_speed(source: Path, folder: Path, processes: int, seconds: int) -> float:
    """Seconds of video that a conversion gets done in a second, once it has started.

    From the difference between a conversion of all videos and one of all videos four times.
    """
    durations = []
    for copies in (1, 4):
        footage = folder / f"footage_{processes}_{copies}"
        footage.mkdir()
        rows = ["video,animals,actions"]
        for path in sorted(source.glob("*.mp4")):
            for copy in range(copies):
                name = f"{path.stem}_{copy}.mp4"
                (footage / name).hardlink_to(path)  # a conversion refuses links out of its source
                rows.append(f"{name},Fox,Running")
        (footage / "clips.csv").write_text("\n".join(rows))
        annotations = read_annotations("csv", footage)
        start = time.perf_counter()
        convert("csv", annotations, footage / "out", options=Options(), workers=processes)
        durations.append(time.perf_counter() - start)
    more = 3 * len(list(source.glob("*.mp4"))) * seconds
    return more / (durations[1] - durations[0])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=10, help="length of each video")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--v5e", type=float, default=clips_of_a_v5e(), help="clips a second of a chip"
    )
    parser.add_argument(
        "--h100", type=float, default=clips_of_an_h100(0.5), help="clips a second of a GPU"
    )
    options = parser.parse_args()
    cores = os.cpu_count()
    print(
        f"{options.videos} videos of {options.seconds} s at {WIDTH}x{HEIGHT}; "
        f"{platform.machine()}, {cores} cores, {options.threads} threads"
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "footage")
        source.mkdir()
        paths = [source / f"{k}.mp4" for k in range(options.videos)]
        for seed, path in enumerate(paths):
            write_video(path, options.seconds, seed)
        # TensorFlow's import would count for the first conversion alone.
        importlib.import_module("data_pipeline.conversion.tfrecords")
        for processes in (1, 2):
            speed = conversion_speed(source, Path(folder), processes, options.seconds)
            print(f"conversion, {processes} processes: {speed:.1f} s of video a second")

        dataset = Path(folder, "footage_1_1", "out")
        measured = {
            "TFRecord": clips_per_second(from_shards(dataset, options.threads, 25 * len(paths))),
            "(a) seeking": clips_per_second(from_videos(clip_by_seeking, paths, options.threads)),
            "(b) whole video": clips_per_second(
                from_videos(clip_by_decoding_all, paths, options.threads)
            ),
        }
        views_rate, views_rate_of_core = clips_per_second(evaluated(dataset, options.threads))
    best, best_of_core = measured["TFRecord"]
    for name, (rate, rate_of_core) in measured.items():
        print(
            f"{name}: {rate:.1f} clips/s, {rate_of_core:.1f} clips/s a core, TFRecord is "
            f"{best / rate:.1f} times as fast, {best_of_core / rate_of_core:.1f} times a core"
        )
    print(
        f"evaluation, {TEMPORAL_VIEWS} x {CROPS} views: {views_rate:.1f} clips/s, "
        f"{views_rate_of_core:.1f} clips/s a core"
    )
    rows = [
        {"device": name, "clips/s": f"{rate:.0f}", "cores": f"{rate / best_of_core:.1f}"}
        for name, rate in (("v5e chip", options.v5e), ("H100", options.h100))
    ]
    print(format_table(rows, title="cores of this host that one device needs in training"))
    print(
        f"By default: v5e, {COMPILED_BATCH} clips a step of {COMPILED_CHIPS} chips in the fewest "
        f"cycles of benchmarks/compiled.json, at {V5E_CLOCK / 1e9} GHz; H100, 50 % of its peak, by "
        "the operations of a clip on paper (estimates/theory.py)."
    )


if __name__ == "__main__":
    main()
