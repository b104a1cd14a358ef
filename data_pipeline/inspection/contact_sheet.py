"""A picture of some clips: first, middle and last frame of each, with their labels below."""

import io
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from animal_clip_jax.errors import UserError
from data_pipeline.dataset_files import TRAIN_SPLIT
from data_pipeline.inspection.examination import spread_over_actions

FRAME_BOX = (144, 108)
FRAMES_PER_CLIP = 3
MARGIN = 6
TEXT_HEIGHT = 16
FONT_SIZE = 12


@dataclass(frozen=True)
class ShownClip:
    """A clip as it is shown.

    Attributes:
        clip_id: its name.
        split: that it is in.
        animals: their names.
        actions: their names.
        frames: files of pictures (JPEG), in the order of time; may be empty.
    """

    clip_id: str
    split: str
    animals: tuple[str, ...]
    actions: tuple[str, ...]
    frames: tuple[bytes, ...]


def contact_sheet(
    directory: str | os.PathLike, split: str = TRAIN_SPLIT, *, num_clips: int = 24, columns: int = 3
) -> Image.Image:
    """First, middle and last frame of some clips, with their labels below.

    The clips are spread over the actions: one of each action in turn, in stored order.

    Args:
        directory: a converted dataset.
        split: one of its splits.
        num_clips: how many clips; fewer if the split has fewer.
        columns: clips side by side.

    Raises:
        FileNotFoundError, DatasetError: the folder is no converted dataset, has no such split, or
            one of its shards is missing or corrupt.
        UserError: no clips or no columns are asked for.
    """
    if num_clips < 1 or columns < 1:
        raise UserError(f"a sheet needs clips and columns, not {num_clips} and {columns}")
    return sheet_of(stored_clips(directory, split, num_clips), columns=columns)


def stored_clips(directory: str | os.PathLike, split: str, num_clips: int) -> list[ShownClip]:
    """Clips of a converted dataset and their frames; arguments and errors as `contact_sheet`."""
    # Here, not above: the description does without TensorFlow.
    from data_pipeline.batches.reading import Source

    source = Source.open(directory, split)
    index, info = source.index, source.info
    clips = []
    for row in spread_over_actions(index.actions, num_clips):
        stored = source.stored_frames(row)
        chosen = np.linspace(0, len(stored) - 1, FRAMES_PER_CLIP).round().astype(int)
        clips.append(
            ShownClip(
                clip_id=index.clip_ids[row],
                split=split,
                animals=tuple(info.animal_names[k] for k in index.animals[row]),
                actions=tuple(info.action_names[k] for k in index.actions[row]),
                frames=tuple(stored[k] for k in chosen),
            )
        )
    return clips


def sheet_of(clips: Sequence[ShownClip], *, columns: int = 3) -> Image.Image:
    """The clips side by side in one picture.

    Args:
        clips: at least one.
        columns: clips side by side.
    """
    tiles = [_tile(clip) for clip in clips]
    columns = min(columns, len(tiles))
    height = max(tile.height for tile in tiles)
    lines = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * tiles[0].width, lines * height), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * tile.width, number // columns * height))
    return sheet


def thumbnail(content: bytes) -> bytes:
    """A stored frame, small enough for a page with many of them: a JPEG file."""
    picture = ImageOps.contain(Image.open(io.BytesIO(content)).convert("RGB"), FRAME_BOX)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=75)
    return buffer.getvalue()


def _tile(clip: ShownClip) -> Image.Image:
    width, height = FRAME_BOX
    size = (FRAMES_PER_CLIP * width + 2 * MARGIN, height + 3 * TEXT_HEIGHT + 3 * MARGIN)
    tile = Image.new("RGB", size, "white")
    for number, frame in enumerate(clip.frames):
        shown = ImageOps.contain(Image.open(io.BytesIO(frame)).convert("RGB"), FRAME_BOX)
        tile.paste(shown, (MARGIN + number * width, MARGIN + height - shown.height))
    font = ImageFont.load_default(FONT_SIZE)
    texts = (clip.clip_id, ", ".join(clip.animals), ", ".join(clip.actions))
    draw = ImageDraw.Draw(tile)
    for number, text in enumerate(texts):
        position = (MARGIN, 2 * MARGIN + height + number * TEXT_HEIGHT)
        fitting = _shortened(without_accents(text), font, tile.width - 2 * MARGIN)
        draw.text(position, fitting, fill="black", font=font)
    return tile


def without_accents(text: str) -> str:
    """The text in letters that Pillow's own font has; what has no such letter becomes "?"."""
    letters = unicodedata.normalize("NFKD", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return "".join(
        letter if letter.isascii() else "?"
        for letter in letters
        if not unicodedata.combining(letter)
    )


def _shortened(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
