"""Videos that are distributed as a folder of pictures, one a frame."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from data_pipeline.decoding import VideoError, VideoFacts, check_scaled, scaled_size
from data_pipeline.limits import MOST_FRAME_PIXELS, shown

PICTURE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png"))
# What operating systems leave in folders, beside what is hidden.
IGNORED_FILES = frozenset(("Thumbs.db", "desktop.ini"))
_NUMBER = re.compile(r"(\d{1,12})$")

T = TypeVar("T")


def map_folder(
    function: Callable[[np.ndarray], T],
    folder: Path,
    *,
    select: Callable[[int], np.ndarray],
    short_side: int | None = None,
) -> tuple[list[T], VideoFacts]:
    """`decoding.map_frames` for a folder of pictures, in the order of the numbers in their names.

    Args:
        function: of a frame, uint8 (h, w, 3), RGB.
        folder: holds pictures whose names end with numbers, such as `AAACXZTV_000001.jpg`.
        select: takes the number of frames and returns the indices wanted, increasing.
        short_side: as for `map_frames`.

    Returns:
        The results for the selected frames, and what is known of the video; its rate is not.

    Raises:
        VideoError: the folder is not there or empty, holds other files, lacks a number between two
            others, or a picture is damaged, very large or of another size than the first.
    """
    pictures = _in_order(folder)
    results = []
    indices = select(len(pictures))
    height = width = 0
    for place in sorted({0, *indices.tolist()}):
        picture = _open(pictures[place])
        size = (picture.height, picture.width)
        if place == 0:
            height, width = size
        elif size != (height, width):
            raise VideoError(
                f"the frame {shown(pictures[place].name)} is {size[1]}x{size[0]}, the first "
                f"{width}x{height}"
            )
        if place in indices:
            new_height, new_width = scaled_size(height, width, short_side)
            check_scaled((new_height, new_width), (height, width))
            small = picture.resize((new_width, new_height), Image.Resampling.BICUBIC)
            results.append(function(np.asarray(small)))
    facts = VideoFacts(
        frame_indices=indices,
        num_frames=len(pictures),
        frame_rate=0.0,
        height=height,
        width=width,
    )
    return results, facts


def _in_order(folder: Path) -> list[Path]:
    try:
        names = sorted(
            name for name in os.listdir(folder) if name[0] != "." and name not in IGNORED_FILES
        )
    except OSError as error:
        raise VideoError(f"the folder of frames cannot be read ({error.strerror})") from error
    numbered: dict[int, Path] = {}
    for name in names:
        path = folder / name
        match = _NUMBER.search(path.stem)
        if path.suffix.lower() not in PICTURE_SUFFIXES or match is None or not path.is_file():
            raise VideoError(f"{shown(name)} is no frame: a picture whose name ends with a number")
        number = int(match[1])
        if number in numbered:
            raise VideoError(f"{shown(name)} and {shown(numbered[number].name)} have one number")
        numbered[number] = path
    if not numbered:
        raise VideoError("the folder of frames is empty")
    first, last = min(numbered), max(numbered)
    if first > 1:
        raise VideoError(f"the first frame is number {first}; expected 0 or 1")
    if len(numbered) != last - first + 1:
        missing = next(number for number in range(first, last) if number not in numbered)
        raise VideoError(
            f"{last - first + 1 - len(numbered)} frames are missing between {first} and {last}, "
            f"the first of them {missing}"
        )
    return [numbered[number] for number in sorted(numbered)]


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as picture:
            if picture.width * picture.height > MOST_FRAME_PIXELS:
                raise VideoError(
                    f"the frame {shown(path.name)} is {picture.width}x{picture.height}; "
                    f"{MOST_FRAME_PIXELS} pixels are the most"
                )
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise VideoError(f"the frame {shown(path.name)} is damaged ({error})") from error
