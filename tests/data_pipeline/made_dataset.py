"""A small dataset in LoTE-Animal's form, and its conversion."""

import csv
import filecmp
import json
from pathlib import Path

import tensorflow_datasets as tfds
from made_videos import write_video

from animal_clip_jax.digests import SEAL
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.conversion.dataset_writer import Options, convert
from data_pipeline.dataset_files import ACTION_SEGMENTS, FILE_DIGESTS, SEGMENTS_SOURCE

ACTIONS = ("Resting", "Walking", "Feeding")
ANIMALS = ("Boar", "Fox")
NUM_TRAIN, NUM_TEST = 22, 7
# Frames of each clip: fewer than are sampled, more than are stored, and in between.
NUM_FRAMES = (20, 9, 3, 14, 1)
OPTIONS = Options(short_side=40, max_frames=16, clips_per_shard=4)


def make_source(folder: Path) -> Path:
    """29 numbered videos with each action in turn; only a boar is ever resting."""
    (folder / "annotations").mkdir(parents=True)
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for k in range(NUM_TRAIN + NUM_TEST):
        action = k % 3
        animal = k // 3 % 2 if action else 0
        name = f"{ACTIONS[action]}/{ANIMALS[animal]}{k}.mp4"
        height, width = ((48, 64), (64, 48), (48, 48))[k % 3]
        frames = NUM_FRAMES[k % len(NUM_FRAMES)]
        write_video(folder / "videos" / name, frames, height=height, width=width)
        lines["train" if k < NUM_TRAIN else "test"].append(f"{name} {action} {animal}\r\n")
    for split, text in lines.items():
        (folder / "annotations" / f"{split}.txt").write_text("".join(text) + "\r\n", newline="")
    for name, labels in (("label", ACTIONS), ("animal_label", ANIMALS)):
        rows = "".join(f"{number},{label}\n" for number, label in enumerate(labels))
        (folder / "annotations" / f"{name}.csv").write_text("id,label\n" + rows)
    return folder


def convert_lote(source: Path, output: Path, **settings) -> dict[str, int]:
    """Converts it with one worker unless told otherwise."""
    arguments = {"options": OPTIONS, "workers": 1, **settings}
    return convert("lote_animal", read_annotations("lote_animal", source), output, **arguments)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a file with a heading."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def examples(directory: Path, split: str) -> list[dict]:
    """The records of a split, as TensorFlow Datasets reads them."""
    return list(tfds.as_numpy(tfds.builder_from_directory(directory).as_dataset(split=split)))


def as_older_version(folder: Path, **changes) -> Path:
    """Takes out of a converted dataset what those of the first version do not have: digests, and
    what is known of bouts.

    Other fields of its description can be changed too.
    """
    clips = folder / "clips.csv"
    with clips.open(newline="") as file:
        rows = list(csv.reader(file))
    later = rows[0].index("start")
    with clips.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(row[:later] for row in rows)
    path = folder / "dataset.json"
    description = {**json.loads(path.read_text()), "format_version": 1, **changes}
    for key in (SEAL, FILE_DIGESTS, ACTION_SEGMENTS, SEGMENTS_SOURCE):
        description.pop(key, None)
    path.write_text(json.dumps(description))
    return folder


def assert_same_folders(first, second):
    names, others = (
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        for folder in (first, second)
    )
    assert names == others
    _, different, unreadable = filecmp.cmpfiles(first, second, names, shallow=False)
    assert (different, unreadable) == ([], [])
