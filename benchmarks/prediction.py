"""How fast videos are predicted, against the model alone; and how much memory that takes.

    python -m benchmarks.prediction [--architecture=ViT-B/32] [--minutes=60] [--videos=FOLDER]
    python -m benchmarks.prediction --run=RUN [--minutes=60] [--videos=FOLDER]

Makes a long video and 20 short ones (H.264, 320x240, 10 frames a second), to which those of a
folder may come, and measures in one process, on the same cores

- the model alone, on frames that are in memory, in batches of the same size;
- `predict_files`, which decodes, looks at windows, makes bouts and writes results.

The ratio of the two, in windows a second, is the result: 1 is a prediction behind which decoding is
hidden. With a run, its command is then measured as a whole with every output that it has, in a
process of its own.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

import animal_clip_jax
from animal_clip_jax.tables import format_table

if TYPE_CHECKING:
    from animal_clip_jax.inference.inputs import Input
    from animal_clip_jax.inference.predictor import Predictor
    from animal_clip_jax.inference.stream import Request

# What takes long to import is imported where it is used: the processes that decode import this
# file, where those of a command import next to nothing.
WIDTH, HEIGHT, RATE = 320, 240, 10
NUM_SHORT, SHORT_SECONDS = 20, 12
ACTIONS = [f"action {number}" for number in range(20)]
# Runs a command, and prints the peak memory of the largest of its processes in KiB.
_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
OUTPUTS = ["--report", "--save_video", "--save_clips", "--save_embeddings"]


def write_video(path: Path, seconds: int, seed: int) -> None:
    """A textured background on which a patch moves."""
    random = np.random.default_rng(seed)
    background = random.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    background = background.repeat(8, axis=0).repeat(8, axis=1)
    patch = random.integers(0, 256, (48, 48, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for k in range(seconds * RATE):
            image = background.copy()
            left = (5 * k) % (WIDTH - 48)
            image[96:144, left : left + 48] = patch
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())


def repeat_video(source: Path, path: Path, times: int) -> None:
    """The same video again and again, without encoding it anew."""
    with av.open(str(path), "w") as output:
        stream = None
        length = 0
        for number in range(times):
            with av.open(str(source)) as container:
                template = container.streams.video[0]
                stream = stream or output.add_stream_from_template(template)
                assert template.duration is not None
                length = template.duration
                for packet in container.demux(template):
                    if packet.dts is None:
                        continue
                    assert packet.pts is not None
                    packet.pts += number * length
                    packet.dts += number * length
                    packet.stream = stream
                    output.mux(packet)


def random_model(architecture: str, folder: Path) -> "Predictor":
    """An Animal-CLIP model with initial values, and made-up actions."""
    from flax import nnx

    from animal_clip_jax.conversion.weights import WeightsMetadata, save_weights
    from animal_clip_jax.models import parameters
    from animal_clip_jax.models.description import build
    from animal_clip_jax.models.normalisation import CLIP
    from benchmarks.digests import description_of

    description = description_of(architecture)
    _, values = parameters.split(build(description, rngs=nnx.Rngs(0)))
    arrays = {path: np.asarray(value) for path, value in values.items()}
    save_weights(folder, arrays, WeightsMetadata(description, CLIP, {}))
    return animal_clip_jax.load(folder).with_actions(ACTIONS, animals=["an animal"])


def windows_per_second_alone(model: "Predictor", request: "Request", seconds: float) -> float:
    """Of the model on frames in memory, in batches one after the other."""
    from animal_clip_jax.inference.stream import row_plan

    (views, *looks) = row_plan(model, request).looks
    random = np.random.default_rng(0)
    size = views.image_size
    frames = random.integers(
        0, 256, (request.batch_size, 1, views.num_frames, size, size, 3), np.uint8
    )
    recognised = None
    if looks:
        size = looks[0].image_size
        recognised = random.integers(
            0, 256, (request.batch_size, looks[0].num_frames, size, size, 3), np.uint8
        )

    def batch() -> None:
        model.score(frames, recognised, batch_size=request.batch_size)

    batch()
    start, number = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        batch()
        number += 1
    return number * request.batch_size / (time.perf_counter() - start)


def measure(model: "Predictor", videos: "list[Input]", request: "Request", output: Path) -> None:
    """Prints what the model alone does, and the prediction of files."""
    from animal_clip_jax.inference.predict_files import predict_files
    from animal_clip_jax.inference.results import RESULTS_FILE, Results

    alone = windows_per_second_alone(model, request, seconds=20)
    start = time.perf_counter()
    predict_files(model, videos, output, request)
    seconds = time.perf_counter() - start
    results = Results.open(output / RESULTS_FILE)
    windows = sum(len(r.windows.starts) for r in results if r.windows is not None)
    again = windows_per_second_alone(model, request, seconds=20)
    rate = windows / seconds
    rows = [
        {"what": "the model alone, before", "windows_per_second": alone, "ratio": alone / alone},
        {"what": "files", "windows_per_second": rate, "ratio": rate / alone},
        {"what": "the model alone, after", "windows_per_second": again, "ratio": again / alone},
    ]
    print(format_table(rows, title=f"{windows} windows in {seconds:.1f} s"))


def write_cameras(footage: Path, path: Path) -> Path:
    """A table that says where and when each video was recorded: all at one place and time."""
    start, end = "2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"
    lines = ["filePath,timestamp,deploymentID,latitude,longitude,deploymentStart,deploymentEnd"]
    lines += [
        f"{video.relative_to(footage).as_posix()},2026-05-02T00:00:00Z,here,52.5,13.2,{start},{end}"
        for video in sorted(footage.rglob("*.mp4"))
    ]
    path.write_text("\n".join(lines))
    return path


def measure_command(run: str, footage: Path, options: argparse.Namespace, output: Path) -> None:
    """Prints time and memory of the command with every output."""
    from animal_clip_jax.inference.formats.table import FORMATS

    cameras = write_cameras(footage, output.with_name("cameras.csv"))
    command = [sys.executable, "-m", "animal_clip_jax", "predict", run, str(footage)]
    command += [f"--output={output}", f"--window={options.window:g}", *OUTPUTS]
    command += [f"--stride={options.stride:g}", f"--format={','.join(FORMATS)}", "--recursive"]
    command += [f"--deployments={cameras}"]
    start = time.perf_counter()
    # In a small process in between: a process begins with the peak of the one that it is forked of.
    program = [sys.executable, "-c", _PEAK, *command]
    printed = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout
    peak = int(printed.splitlines()[-1]) / 1024
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    print(
        f"the command with every output: {time.perf_counter() - start:.1f} s, at most "
        f"{peak:.0f} MB in one process, "
        f"{size / 1e6:.0f} MB written"
    )


def main() -> None:
    """Measures and prints."""
    from animal_clip_jax.inference.inputs import find_inputs
    from animal_clip_jax.inference.smoothing import Smoothing
    from animal_clip_jax.inference.stream import Request
    from animal_clip_jax.models.architectures import ARCHITECTURES

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", choices=list(ARCHITECTURES), default="ViT-B/32")
    parser.add_argument("--run", help="a trained model instead, and its command")
    parser.add_argument("--minutes", type=int, default=60, help="length of the long video")
    parser.add_argument("--videos", help="a folder of others")
    parser.add_argument("--window", type=float, default=10.0)
    parser.add_argument("--stride", type=float, default=10.0)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        footage = folder / "footage"
        footage.mkdir()
        for number in range(NUM_SHORT):
            write_video(footage / f"short_{number:02}.mp4", SHORT_SECONDS, number)
        write_video(folder / "minute.mp4", 60, NUM_SHORT)
        repeat_video(folder / "minute.mp4", footage / "long.mp4", options.minutes)
        if options.videos:
            (footage / "others").mkdir()
            for path in find_inputs([options.videos], recursive=True):
                (footage / "others" / path.path.name).write_bytes(path.path.read_bytes())
        if options.run:
            model = animal_clip_jax.load(options.run)
        else:
            model = random_model(options.architecture, folder / "weights")
        print(
            f"{platform.machine()}; {options.run or options.architecture}, a video of "
            f"{options.minutes} min and {NUM_SHORT} of {SHORT_SECONDS} s, windows of "
            f"{options.window:g} s, {options.workers} processes that decode"
        )
        request = Request(
            window=options.window,
            stride=options.stride,
            smoothing=Smoothing(options.stride, 2 * options.window),
            batch_size=options.batch_size,
            workers=options.workers,
        )
        videos = find_inputs([str(footage)], recursive=True)
        measure(model, videos, request, folder / "answers")
        if options.run:
            measure_command(options.run, footage, options, folder / "outputs")


if __name__ == "__main__":
    main()
