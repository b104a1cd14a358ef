"""What is in a converted dataset: counts, histograms, the long tail, and a sheet of its clips.

animal-clip inspect lote_tfrecord
"""

import argparse
import io
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_path, write_whole
from data_pipeline.dataset import (
    TRAIN_SPLIT,
    ClipIndex,
    DatasetInfo,
    has_digests,
    load_index,
    load_info,
)
from data_pipeline.long_tail import HEAD_CLIPS, SEGMENTS, TAIL_CLIPS, segments

BAR_WIDTH = 40
FRAME_BOX = (144, 108)
FRAMES_PER_CLIP = 3
MARGIN = 6
TEXT_HEIGHT = 16
FONT_SIZE = 12


def describe(
    directory: str | os.PathLike,
    split: str = TRAIN_SPLIT,
    *,
    top: int = 20,
    head: int = HEAD_CLIPS,
    tail: int = TAIL_CLIPS,
) -> str:
    """A split in words and bars.

    Args:
        directory: a converted dataset.
        split: one of its splits.
        top: how many lines a list may have.
        head: a class with at least so many clips is of the head.
        tail: a class with fewer is of the tail.

    Raises:
        FileNotFoundError, DatasetError: the folder is no converted dataset, or has no such split.
    """
    info, index = load_info(directory), load_index(directory, split)
    actions = class_counts(index.actions, len(info.action_names))
    animals = class_counts(index.animals, len(info.animal_names))
    sizes = ", ".join(f"{name} {size}" for name, size in info.split_sizes.items())
    sections = [
        f"{info.name}: {sum(info.split_sizes.values())} clips ({sizes}), "
        f"{len(info.action_names)} actions, {len(info.animal_names)} animals",
        _videos(index, split),
        _labels_a_clip(index, split),
        _histogram(f"actions in {split!r}", info.action_names, actions, top),
        _histogram(f"animals in {split!r}", info.animal_names, animals, top),
        _long_tail(actions, split, head, tail),
        _together(info, index, top),
        _relations(info, top),
        _digests(directory),
    ]
    return "\n\n".join(section for section in sections if section)


def class_counts(labels: Sequence[Sequence[int]], num_classes: int) -> np.ndarray:
    """int64 (num_classes): in how many clips each class occurs."""
    flat = [label for of_clip in labels for label in of_clip]
    return np.bincount(np.array(flat, np.int64), minlength=num_classes)


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
    # Here, not above: the description does without TensorFlow.
    from data_pipeline.batches.reading import Source

    source = Source.open(directory, split)
    rows = spread_over_actions(source.index, num_clips)
    tiles = [_tile(source.info, source.index, row, source.stored_frames(row)) for row in rows]
    columns = min(columns, len(tiles))
    height = max(tile.height for tile in tiles)
    lines = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * tiles[0].width, lines * height), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * tile.width, number // columns * height))
    return sheet


def spread_over_actions(index: ClipIndex, num_clips: int) -> list[int]:
    """Rows of clips: the first of every action, then the second of every action, and so on."""
    seen: Counter[int] = Counter()
    turns = []
    for row, actions in enumerate(index.actions):
        turns.append((seen[actions[0]], actions[0], row))
        seen[actions[0]] += 1
    return [row for _, _, row in sorted(turns)[:num_clips]]


def _videos(index: ClipIndex, split: str) -> str:
    rates = index.frame_rates[index.frame_rates > 0]
    seconds = index.original_num_frames[index.frame_rates > 0] / rates
    sizes = Counter(zip(index.original_widths, index.original_heights, strict=True))
    common = ", ".join(f"{w}x{h} ({n})" for (w, h), n in sizes.most_common(3))
    duration = (
        f"{np.median(seconds):.1f} s long (median; {seconds.min():.1f} to {seconds.max():.1f}), "
        if len(seconds)
        else ""
    )
    return (
        f"videos in {split!r}: {duration}{np.median(index.original_num_frames):.0f} frames "
        f"(median), {np.median(index.num_frames):.0f} of them stored; sizes: {common}"
    )


def _labels_a_clip(index: ClipIndex, split: str) -> str:
    parts = []
    for kind, labels in (("actions", index.actions), ("animals", index.animals)):
        counts = Counter(len(of_clip) for of_clip in labels)
        spread = ", ".join(f"{number}: {counts[number]}" for number in sorted(counts))
        parts.append(f"{kind} a clip in {split!r}: {spread}")
    return "\n".join(parts)


def _histogram(title: str, names: Sequence[str], counts: np.ndarray, top: int) -> str:
    if not names:
        return f"{title}: none"
    order = np.argsort(-counts, kind="stable")
    width = max(len(name) for name in names)
    longest = max(int(counts.max()), 1)
    lines = [
        f"  {names[k]:<{width}} {counts[k]:>6} {'#' * round(BAR_WIDTH * counts[k] / longest)}"
        for k in order[:top]
    ]
    rest = counts[order[top:]]
    if len(rest):
        lines.append(f"  and {len(rest)} more with {rest.max()} clips or fewer")
    missing = int((counts == 0).sum())
    return "\n".join([f"{title} ({missing} of {len(names)} do not occur):", *lines])


def _long_tail(counts: np.ndarray, split: str, head: int, tail: int) -> str:
    of_class = segments(counts, head, tail)
    parts = [
        f"{segment} {(of_class == segment).sum()} ({counts[of_class == segment].sum()} labels)"
        for segment in SEGMENTS
    ]
    return f"long tail of the actions in {split!r}, head >= {head}, tail < {tail}: " + ", ".join(
        parts
    )


def _together(info: DatasetInfo, index: ClipIndex, top: int) -> str:
    pairs = Counter(pair for labels in index.actions for pair in combinations(sorted(labels), 2))
    if not pairs:
        return ""
    lines = [
        f"  {count:>6} {info.action_names[first]} + {info.action_names[second]}"
        for (first, second), count in pairs.most_common(top)
    ]
    return "\n".join([f"actions in the same clip ({len(pairs)} pairs):", *lines])


def _relations(info: DatasetInfo, top: int) -> str:
    counts = info.relation_counts
    animals, actions = np.nonzero(counts)
    if not len(animals):
        return ""
    order = np.argsort(-counts[animals, actions], kind="stable")[:top]
    lines = [
        f"  {counts[animals[k], actions[k]]:>6} {info.animal_names[animals[k]]}: "
        f"{info.action_names[actions[k]]}"
        for k in order
    ]
    title = (
        f"who does what in {TRAIN_SPLIT!r} ({len(animals)} of {counts.size} pairs of animal and "
        "action occur):"
    )
    return "\n".join([title, *lines])


def _digests(directory: str | os.PathLike) -> str:
    if has_digests(directory):
        return ""
    return (
        "its lists have no digests, so that changes in them are not noticed: run the same "
        "conversion again to add them"
    )


def _tile(info: DatasetInfo, index: ClipIndex, row: int, stored: Sequence[bytes]) -> Image.Image:
    chosen = np.linspace(0, len(stored) - 1, FRAMES_PER_CLIP).round().astype(int)
    frames = [Image.open(io.BytesIO(stored[k])).convert("RGB") for k in chosen]
    width, height = FRAME_BOX
    size = (FRAMES_PER_CLIP * width + 2 * MARGIN, height + 3 * TEXT_HEIGHT + 3 * MARGIN)
    tile = Image.new("RGB", size, "white")
    for number, frame in enumerate(frames):
        shown = ImageOps.contain(frame, FRAME_BOX)
        tile.paste(shown, (MARGIN + number * width, MARGIN + height - shown.height))
    font = ImageFont.load_default(FONT_SIZE)
    texts = (
        index.clip_ids[row],
        ", ".join(info.animal_names[k] for k in index.animals[row]),
        ", ".join(info.action_names[k] for k in index.actions[row]),
    )
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


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip inspect`; returns the exit code."""
    parser = Parser(
        "inspect",
        usage="DATA [options]",
        summary="Says what is in converted videos, and draws a sheet of some clips.",
        examples=("animal-clip inspect data/mine",),
    )
    add, whole = parser.add_argument, numeric(int)
    add("directory", metavar="DATA", help="a folder that convert-videos has written")
    add(
        "--split",
        metavar="NAME",
        default=TRAIN_SPLIT,
        help="whose clips: train, test, … (%(default)s)",
    )
    add("--top", metavar="N", type=whole, default=20, help="lines of a list (%(default)s)")
    add(
        "--head",
        metavar="N",
        type=whole,
        default=HEAD_CLIPS,
        help="clips of a class of the head (%(default)s)",
    )
    add(
        "--tail",
        metavar="N",
        type=whole,
        default=TAIL_CLIPS,
        help="a class of the tail has fewer clips (%(default)s)",
    )
    add(
        "--clips",
        metavar="N",
        type=whole,
        default=24,
        help="on the contact sheet; 0 makes none (%(default)s)",
    )
    add("--sheet", metavar="PNG", help="the contact sheet (DATA/contact_sheet.png)")
    return command_line.run(lambda: _inspect(parser.parse(arguments)))


def _inspect(options: argparse.Namespace) -> None:
    if options.clips:
        command_line.need("tensorflow")
    print(
        describe(
            options.directory, options.split, top=options.top, head=options.head, tail=options.tail
        )
    )
    if options.clips:
        path = options.sheet or as_path(options.directory) / "contact_sheet.png"
        sheet = contact_sheet(options.directory, options.split, num_clips=options.clips)
        content = io.BytesIO()
        sheet.save(content, "PNG")
        write_whole(path, content.getvalue())
        print(f"\ncontact sheet: {path}")


if __name__ == "__main__":
    sys.exit(main())
