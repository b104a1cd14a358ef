"""Animal Kingdom's official long-tail split of the actions: `df_action.xlsx`, sheet `AR_count`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.label_files import Spelling, find_file, has_file
from data_pipeline.annotations.record import AnnotationError, Annotations
from data_pipeline.annotations.workbook import cell_text, sheet_rows
from data_pipeline.long_tail import SEGMENTS

SEGMENT_FILES = ("df_action.xlsx",)
SHEET = "AR_count"
_NAMES_SHOWN = 10


def with_official_segments(annotations: Annotations, folders: Sequence[Path]) -> Annotations:
    """The annotations with the segments of `df_action.xlsx`, if it is in one of the folders.

    Raises:
        AnnotationError: see `read_action_segments`.
    """
    if not has_file(folders, SEGMENT_FILES):
        return annotations
    workbook = find_file(folders, SEGMENT_FILES, "long-tail split")
    return dataclasses.replace(
        annotations,
        action_segments=read_action_segments(workbook, annotations.action_names),
        segments_source=workbook.name,
    )


def read_action_segments(workbook: Path, action_names: Sequence[str]) -> tuple[str, ...]:
    """The segment of every action.

    Args:
        workbook: `df_action.xlsx`, which may spell the actions in another case.
        action_names: the labels, (C).

    Returns:
        (C), one of `long_tail.SEGMENTS` each.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: the sheet or a column is missing; a row has an unknown action or segment;
            an action is in two segments, or in none.
    """
    spelling = Spelling(action_names)
    found: dict[str, tuple[str, str]] = {}  # of each action: its segment, and where that stands
    for place, row in sheet_rows(workbook, SHEET, ("action", "segment")):
        action, segment = cell_text(row["action"]), cell_text(row["segment"]).casefold()
        if not action and not segment:
            continue
        name = spelling.require(action, place, "action")
        if segment not in SEGMENTS:
            raise AnnotationError(
                f"{place}: the segment of {quoted(action)} is {quoted(segment)}; expected one of "
                f"{', '.join(SEGMENTS)}"
            )
        before, first = found.setdefault(name, (segment, place))
        if before != segment:
            raise AnnotationError(
                f"{place}: the action {quoted(action)} is {segment} here, {before} in {first}"
            )
    missing = [name for name in action_names if name not in found]
    if missing:
        shown = ", ".join(map(quoted, missing[:_NAMES_SHOWN]))
        more = f" and {len(missing) - _NAMES_SHOWN} more" if len(missing) > _NAMES_SHOWN else ""
        raise AnnotationError(
            f"{workbook}, sheet {SHEET}: {len(missing)} of the {len(action_names)} actions are not "
            f"there: {shown}{more}; without this file, segments go by training clips"
        )
    return tuple(found[name][0] for name in action_names)
