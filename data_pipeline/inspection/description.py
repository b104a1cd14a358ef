"""A split of converted videos in words and bars."""

import os
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from data_pipeline.clip_index import ClipIndex, load_index
from data_pipeline.dataset import DatasetInfo, load_info
from data_pipeline.dataset_files import TRAIN_SPLIT, has_digests
from data_pipeline.long_tail import HEAD_CLIPS, SEGMENTS, TAIL_CLIPS, segments

BAR_WIDTH = 40


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
        histogram(f"actions in {split!r}", info.action_names, actions, top),
        histogram(f"animals in {split!r}", info.animal_names, animals, top),
        _long_tail(info, actions, split, head, tail),
        _together(info, index, top),
        _relations(info, top),
        _digests(directory),
    ]
    return "\n\n".join(section for section in sections if section)


def class_counts(labels: Sequence[Sequence[int]], num_classes: int) -> np.ndarray:
    """int64 (num_classes): in how many clips each class occurs."""
    flat = [label for of_clip in labels for label in of_clip]
    return np.bincount(np.array(flat, np.int64), minlength=num_classes)


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


def histogram(title: str, names: Sequence[str], counts: np.ndarray, top: int) -> str:
    """The most frequent classes, a line and a bar each, below a title."""
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


def _long_tail(info: DatasetInfo, counts: np.ndarray, split: str, head: int, tail: int) -> str:
    of_class = np.array(info.action_segments) if info.action_segments else None
    rule = f"as {info.segments_source} says"
    if of_class is None:
        of_class, rule = segments(counts, head, tail), f"head >= {head}, tail < {tail}"
    parts = [
        f"{segment} {(of_class == segment).sum()} ({counts[of_class == segment].sum()} labels)"
        for segment in SEGMENTS
    ]
    return f"long tail of the actions in {split!r}, {rule}: " + ", ".join(parts)


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
