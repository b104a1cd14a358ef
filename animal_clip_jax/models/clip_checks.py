"""Whether dimensions of I3D, SlowFast and X3D make a model, and whether clips fit it."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from animal_clip_jax.errors import UserError, quoted

STAGES = 4
# Pixels that one pixel of the last features stands for.
SPATIAL_STRIDE = 32


def _numbers(value: object) -> Iterator[object]:
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    else:
        yield value


def _as_tuples(value: object) -> object:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def check_integers(architecture: Any) -> None:
    """Refuses dimensions that are no positive integers, even kernels, and tuples of other lengths.

    Args:
        architecture: a frozen dataclass of integers, tuples of them or None, and of floats. A field
            whose name ends with "kernel" or "kernels" is odd, so that half of it on either side
            keeps the number of frames; a tuple has a value for each of four stages. Lists, as JSON
            has them, become tuples.

    Raises:
        UserError: a field is not so; names it.
    """
    for field in dataclasses.fields(architecture):
        value, name = _as_tuples(getattr(architecture, field.name)), f"architecture.{field.name}"
        object.__setattr__(architecture, field.name, value)
        if value is None or field.type in (float, "float"):
            continue
        numbers = list(_numbers(value))
        is_positive = all(
            isinstance(number, int) and not isinstance(number, bool) and number >= 1
            for number in numbers
        )
        if not numbers or not is_positive:
            raise UserError(f"{name} is {quoted(value)}; expected positive integers")
        if name.endswith(("kernel", "kernels")) and not all(
            isinstance(number, int) and number % 2 for number in numbers
        ):
            raise UserError(f"{name} is {quoted(value)}; expected odd numbers of frames")
        if isinstance(value, tuple) and len(value) != STAGES:
            raise UserError(f"{name} is {quoted(value)}; expected one for each of {STAGES} stages")


def check_image_size(image_size: int) -> None:
    """Refuses a side whose last features are not as large as a window of image_size // 32.

    Raises:
        UserError: it is not a multiple of 32.
    """
    if image_size % SPATIAL_STRIDE:
        window = image_size // SPATIAL_STRIDE
        raise UserError(
            f"architecture.image_size is {image_size}; the head's window of {window}×{window} "
            f"({image_size} // {SPATIAL_STRIDE}) does not fit its features of {window + 1}×"
            f"{window + 1}: expected a multiple of {SPATIAL_STRIDE}"
        )


def check_clips(shape: tuple[int, ...], *, num_frames: int, image_size: int, model: str) -> None:
    """Refuses clips that the head's window does not fit in.

    Args:
        shape: (clips, frames, height, width, channels) of the clips.
        num_frames, image_size: of the clips that the model is for, the least that fit.
        model: its name, for the message.

    Raises:
        UserError: they are no clips, or have fewer frames, rows or columns.
    """
    if len(shape) != 5 or shape[-1] != 3:
        raise UserError(f"clips are {shape}; expected (clips, frames, height, width, 3)")
    _, frames, height, width, _ = shape
    if frames < num_frames:
        raise UserError(
            f"clips have {frames} frames; the head's window of this {model} needs {num_frames}: "
            "give it longer clips, or build one of fewer frames"
        )
    if min(height, width) < image_size:
        raise UserError(
            f"frames are {height}×{width} pixels; the head's window of this {model} needs "
            f"{image_size}×{image_size}: give it larger frames, or build one of smaller ones"
        )
