"""What a conversion would find in a source, in words; nothing is converted."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from animal_clip_jax.errors import UserError
from data_pipeline.annotations.datasets import READERS
from data_pipeline.annotations.label_warnings import label_warnings
from data_pipeline.annotations.layouts import Sought
from data_pipeline.annotations.places import missing as missing_place
from data_pipeline.annotations.record import Annotations
from data_pipeline.conversion.find_videos import find_videos, is_there
from data_pipeline.limits import shown

# Of files that are missing or too many.
MOST_SHOWN = 5


class Listing(NamedTuple):
    """What is in a source.

    Attributes:
        text: for a person, several lines.
        problem: why it cannot be converted, in one line; "" if it can.
    """

    text: str
    problem: str


def list_source(
    dataset: str, source: Path, read: Callable[[], Annotations], *, max_failures: int = 0
) -> Listing:
    """Looks through the source of a data set.

    Args:
        dataset: one of `READERS`.
        source: the folder or file.
        read: reads its annotations, which may lack their videos.
        max_failures: clips that may lack their video.

    Raises:
        UserError: the source is not there.
    """
    if not source.exists():
        raise missing_place(source, "the source")
    reader = READERS[dataset]
    sections = [f"{dataset}: {shown(source)}"]
    if reader.files is not None:
        sections.append(_files(reader.files(source)))
    try:
        annotations = read()
    except UserError as error:
        return Listing("\n\n".join(sections), str(error))
    found, others = find_videos(annotations)
    is_usable = is_there(annotations.roots)
    without = [path for path in found.values() if not is_usable(path)]
    missing, lacking = list(dict.fromkeys(without)), len(without)
    sections += [
        _notes(annotations),
        _clips(annotations),
        _warnings(annotations),
        _videos(annotations, len(found) - lacking, missing, others),
    ]
    problem = ""
    if lacking > max_failures:
        problem = (
            f"{lacking} of {len(found)} clips have no video, the first is {_whole(missing[0])}; "
            "the list says where they were looked for; --max_failures=N accepts the loss"
        )
    return Listing("\n\n".join(filter(None, sections)), problem)


def _warnings(annotations: Annotations) -> str:
    warnings = [f"  {warning}" for warning in label_warnings(annotations)]
    return "\n".join(["warnings", *warnings]) if warnings else ""


def _files(files: Sequence[Sought]) -> str:
    width = max(len(file.what) for file in files)
    lines = [f"  {file.what:<{width}}  {_where(file)}" for file in files]
    folders = dict.fromkeys(folder for file in files for folder in file.folders)
    return "\n".join(
        ["files", *lines, "looked for in", *(f"  {shown(folder)}" for folder in folders)]
    )


def _where(file: Sought) -> str:
    if file.found is not None:
        return shown(file.found)
    return f"{'MISSING' if file.is_needed else 'none'} ({' or '.join(file.names)})"


def _notes(annotations: Annotations) -> str:
    return "\n".join(["annotations", *(f"  {note}" for note in annotations.notes)])


def _clips(annotations: Annotations) -> str:
    splits = Counter(clip.split for clip in annotations.clips)
    used = {name for clip in annotations.clips for name in clip.actions}
    kinds = Counter(repair.kind for repair in annotations.repairs)
    without_animals = sum(not clip.animals for clip in annotations.clips)
    lines = [
        "clips",
        f"  {len(annotations.clips)}: "
        + ", ".join(f"{split} {number}" for split, number in splits.items()),
        f"  {len(annotations.action_names)} actions, "
        f"{'one or several' if annotations.multi_label else 'one'} a clip; "
        f"{len(annotations.animal_names)} animals",
    ]
    unused = [name for name in annotations.action_names if name not in used]
    if unused:
        lines.append(f"  {len(unused)} actions without a clip: {_some(unused)}")
    if without_animals:
        lines.append(f"  {without_animals} without an animal")
    lines.append(f"  {len(annotations.repairs)} places of the annotations had to be repaired")
    lines += [f"    {number} x {kind}" for kind, number in kinds.most_common()]
    return "\n".join(lines)


def _videos(
    annotations: Annotations, present: int, missing: Sequence[Path], others: Sequence[str]
) -> str:
    what = "folders of frames" if annotations.are_frames else "videos"
    lines = [f"{what} in {' and '.join(map(_whole, annotations.roots))}"]
    lines.append(f"  {present} of {len(annotations.clips)} clips have theirs")
    if missing:
        lines.append(f"  {len(missing)} {what} are missing:")
        lines += [f"    {_whole(path)}" for path in missing[:MOST_SHOWN]]
        if len(missing) > MOST_SHOWN:
            lines.append(f"    and {len(missing) - MOST_SHOWN} more")
    if others:
        lines.append(f"  {len(others)} {what} belong to no clip: {_some(others)}")
    return "\n".join(lines)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(names[:MOST_SHOWN]) + more


def _whole(path: Path) -> str:
    """The whole path; of a link that leads out of the folders, where it leads."""
    whole = os.path.abspath(path)
    if os.path.exists(whole) and os.path.realpath(whole) != whole:
        return f"{shown(whole)} (leads to {shown(os.path.realpath(whole))}; see --root)"
    return shown(whole)
