"""Converted data sets, and what they are converted from."""

import contextlib
from pathlib import Path
from typing import Any

import av
import made_pairs
import numpy as np
from damage import Format
from made_clips import write_noise
from PIL import Image
from plain_readings import ACTIONS, ANIMALS

from animal_clip_jax.errors import UserError
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.bouts import map_bout
from data_pipeline.clip_index import load_index
from data_pipeline.dataset import load_info
from data_pipeline.decoding import VideoError
from data_pipeline.frame_folders import map_folder
from data_pipeline.pairs.index import PairSet
from data_pipeline.video import load_video


def _make_dataset(folder: Path) -> None:
    from data_pipeline.conversion.dataset_writer import Options, convert

    source = folder.with_name("source")
    source.mkdir(exist_ok=True)
    lines = ["video,animals,actions,split"]
    for number in range(4):
        write_noise(source / f"{number}.mp4", num_frames=4, height=32, width=32)
        split = "test" if number == 3 else "train"
        lines.append(f"{number}.mp4,{ANIMALS[number % 2]},{ACTIONS[number // 2]},{split}")
    (source / "clips.csv").write_text("\n".join(lines))
    annotations = read_annotations("csv", source)
    convert("made", annotations, folder / "data", options=Options(short_side=16), workers=1)


def _read_dataset(folder: Path) -> Any:
    indexes = [load_index(folder / "data", split) for split in ("train", "test")]
    return load_info(folder / "data"), indexes


def _read_shards(folder: Path) -> Any:
    from data_pipeline.batches.reading import Source

    source = Source.open(folder / "data", "train")
    return [source.stored_frames(row) for row in range(len(source.index.clip_ids))]


def _read_pairs(folder: Path) -> Any:
    found = PairSet.open(folder / "pairs")
    indexes = [found.index(split) for split in ("train", "test")]
    return [(index.offsets, index.lengths, index.labels, index.texts) for index in indexes], found


def _make_frames(folder: Path) -> None:
    random = np.random.default_rng(0)
    for number in (1, 2, 3):
        picture = Image.fromarray(random.integers(0, 256, (16, 24, 3), dtype=np.uint8))
        picture.save(folder / f"frame_{number:06d}.{'png' if number == 2 else 'jpg'}")


def _read_frames(folder: Path) -> Any:
    return map_folder(np.shape, folder, select=np.arange)


def _make_recording(folder: Path) -> None:
    write_noise(folder / "a.mp4", num_frames=24, height=32, width=48)


START, STOP = 0.5, 1.25  # seconds


def _read_bout(folder: Path) -> Any:
    """The sizes of the frames: damage may turn them, and pixels have no checksum."""

    def sides(frame: np.ndarray) -> list[int]:
        return sorted(frame.shape)

    return map_bout(sides, folder / "a.mp4", START, STOP, select=np.arange)[0]


def _as_shown(folder: Path, content: Any) -> bool:
    """All frames are decoded, up to the first that cannot be, and those of the bout counted."""
    sizes = []
    with av.open(str(folder / "a.mp4")) as container, contextlib.suppress(av.FFmpegError):
        stream = container.streams.video[0]
        first = float((stream.start_time or 0) * stream.time_base)
        for frame in container.decode(stream):
            if START <= frame.time - first < STOP:
                sizes.append(sorted((frame.height, frame.width, 3)))
    return sizes == content


FORMATS = (
    Format(
        "converted dataset, its lists",
        _make_dataset,
        _read_dataset,
        files=("dataset.json", "clips.csv", "actions.txt", "animals.txt", "relation.csv"),
    ),
    Format("converted dataset, its records", _make_dataset, _read_shards, files=("*train*-of-*",)),
    Format(
        "image–text pairs, their lists",
        lambda folder: made_pairs.write(folder / "pairs", train=4, test=2),
        _read_pairs,
        files=("pairs.json", "*.npz"),
    ),
    Format(
        "video (the shape of its frames)",
        lambda folder: write_noise(folder / "a.mp4", num_frames=6, height=32, width=48),
        lambda folder: load_video(folder / "a.mp4", num_frames=4, image_size=16).shape,
        refusals=(VideoError, UserError),
    ),
    Format(
        "folder of frames (their sizes)",
        _make_frames,
        _read_frames,
        refusals=(VideoError,),
    ),
    Format(
        "bout of a video (the sizes of its frames)",
        _make_recording,
        _read_bout,
        as_written=_as_shown,
        refusals=(VideoError, UserError),
    ),
)
