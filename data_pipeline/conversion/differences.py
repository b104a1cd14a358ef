"""In what a conversion differs from another one that is asked for."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from animal_clip_jax.errors import quoted
from animal_clip_jax.shares import is_lock
from data_pipeline.annotations.record import Annotations
from data_pipeline.clip_index import load_index
from data_pipeline.conversion.find_videos import find_videos
from data_pipeline.conversion.shards import LISTINGS_FOLDER, all_contents, file_state
from data_pipeline.dataset import load_info
from data_pipeline.dataset_files import (
    ACTION_SEGMENTS,
    DATASET_FILE,
    SEGMENTS_SOURCE,
    SMALL_FILES,
    DatasetError,
    parse_description,
)

# What descriptions of older versions lack.
_EMPTY = {ACTION_SEGMENTS: [], SEGMENTS_SOURCE: ""}


def differences(folder: Path, description: Mapping, annotations: Annotations) -> str:
    """In what a conversion differs from what is asked for now.

    Args:
        folder: a conversion, finished or not, or no conversion.
        description: what `dataset.json` would say.
        annotations: of the conversion that is asked for.

    Returns:
        The differences in words; "" where there is none, or no conversion.

    Raises:
        DatasetError: the folder has a `dataset.json` that is of something else.
    """
    path = folder / DATASET_FILE
    if not path.is_file():
        return ""
    found = _EMPTY | parse_description(path.read_bytes(), path)
    # One of an older version is finished, or mended, as one of today's.
    keys = [key for key in description if key not in ("format_version", "annotations_sha256")]
    others = [
        f"its {key} is {quoted(found.get(key))}, now it is {quoted(description[key])}"
        for key in keys
        if found.get(key) != description[key]
    ]
    if found["annotations_sha256"] != description["annotations_sha256"]:
        others += _changed_clips(folder, annotations)
    return "; ".join(others)


def _changed_clips(folder: Path, annotations: Annotations) -> list[str]:
    try:
        former = dict(_clips_of(folder))
    except DatasetError:
        return ["its annotations are others"]
    now = {
        clip.clip_id: (clip.split, set(clip.actions), set(clip.animals))
        for clip in annotations.clips
    }
    both = now.keys() & former.keys()
    counts = {
        "with other labels or in another split": sum(now[k] != former[k] for k in both),
        "new": len(now) - len(both),
        "not there any more": len(former) - len(both),
    }
    changes = [f"{count} {what}" for what, count in counts.items() if count]
    return [f"its clips: {', '.join(changes)}"] if changes else ["its annotations are others"]


def _clips_of(folder: Path) -> Iterator[tuple[str, tuple[str, set[str], set[str]]]]:
    info = load_info(folder)
    for split in info.split_sizes:
        index = load_index(folder, split)
        for clip_id, actions, animals in zip(
            index.clip_ids, index.actions, index.animals, strict=True
        ):
            names = {info.action_names[k] for k in actions}
            yield clip_id, (split, names, {info.animal_names[k] for k in animals})


def changed_videos(folder: Path, annotations: Annotations) -> str:
    """Which videos are not those any more that a conversion was made of.

    Args:
        folder: of the conversion, finished or not.
        annotations: that it was made of.

    Returns:
        In words; "" where there are none, or nothing is known of them, as in conversions of older
        versions.
    """
    videos, _ = find_videos(annotations)
    clips = [clip for contents in all_contents(folder).values() for clip in contents.stored]
    changed = [
        clip.video
        for clip in clips
        if clip.file_state
        and clip.clip_id in videos
        and clip.file_state != file_state(videos[clip.clip_id])
    ]
    if not changed:
        return ""
    return f"{len(changed)} of its clips are of videos changed since, such as {quoted(changed[0])}"


def entries_of_others(folder: Path) -> list[Path]:
    """What is in the folder of a finished conversion and no part of it."""
    own = {*SMALL_FILES, DATASET_FILE, LISTINGS_FOLDER, "contact_sheet.png"}
    own |= all_contents(folder).keys()
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.name not in own
        and ".tfrecord-" not in entry.name
        and not entry.name.endswith(".incomplete")
        and not is_lock(entry.name)
    )
