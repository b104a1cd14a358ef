"""Small pictures with texts, as files, as pairs and as a folder of pairs."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipeline.pairs.record import Pair
from data_pipeline.pairs.write import write_pairs

COLOURS = ("red", "green", "blue", "grey")


def pixels(number: int, height: int = 20, width: int = 18) -> np.ndarray:
    """(height, width, 3) uint8 noise, of another kind for each number."""
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    """A picture as a file that loses nothing."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


def pairs(numbers: Sequence[int], labels: Sequence[str] = COLOURS) -> list[Pair]:
    """Pictures of the numbers, two texts each, and labels in turn."""
    return [
        Pair(
            png(pixels(number)),
            (f"a {labels[number % len(labels)]} picture", f"picture number {number}"),
            labels[number % len(labels)],
        )
        for number in numbers
    ]


def write(folder: Path, *, train: int = 24, test: int = 8) -> Path:
    """A folder of pairs; "grey" is only in the test split."""
    write_pairs(
        folder,
        {"train": pairs(range(train), COLOURS[:3]), "test": pairs(range(100, 100 + test))},
        name="noise",
    )
    return folder
