"""Animal Kingdom's protocol for unseen animals, the sheet `CARe` of its workbook: 8 actions, one a
clip, and other groups of animals in the test than in training.

It has videos of its own: none of them is in the sheet `AR`, so it is a data set by itself.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from animal_clip_jax.errors import quoted, shortened
from data_pipeline.annotations.animal_kingdom import (
    WORKBOOK,
    annotation_folders,
    videos_of_animal_kingdom,
)
from data_pipeline.annotations.label_files import find_file, label_at, no_clips, read_labels
from data_pipeline.annotations.layouts import Sought, check_source, checked_notes, sought
from data_pipeline.annotations.read_options import DEFAULTS, ReadOptions
from data_pipeline.annotations.record import (
    AnnotationError,
    Annotations,
    Clip,
    make_annotations,
    make_clip,
)
from data_pipeline.annotations.workbook import cell_text, sheet_rows

SHEET = "CARe"
COLUMNS = ("train_test", "animal_sub_class", "animal", "video_id", "action")
# The sheet gives numbers without names. These are what the clips show, as the sheet `AR` spells it.
ACTIONS = (
    "Attending",
    "Eating",
    "Keeping still",
    "Jumping",
    "Walking",
    "Swimming",
    "Moving",
    "Sensing",
)
BASELINE = "baseline"
GROUP_PART = "train_"  # before the name of a group that is trained on alone
EVALUATED = ("val", "test")
_NAMES_SHOWN = 20


@dataclass(frozen=True)
class _Row:
    place: str
    part: str
    sub_class: str
    animal: str
    video_id: str
    action: str

    @property
    def split(self) -> str:
        return self.part if self.part in EVALUATED else "train"


def read_animal_kingdom_unseen(source: Path, options: ReadOptions = DEFAULTS) -> Annotations:
    """The clips of the sheet `CARe`, each once, with the group that its animal is of.

    Training is the part `baseline`, which has the clips of all training groups, or the clips of
    one group alone. The groups of the clips, such as "lizard", are the first words of
    `animal_sub_class`.

    Args:
        source: as for `animal_kingdom.read_animal_kingdom`.
        options: `annotations` is the workbook, `train_group` the group that is trained on, by its
            name or the beginning of it; `action_labels` names the numbers of the actions.

    Raises:
        FileNotFoundError: there are no videos, or no workbook.
        AnnotationError: the sheet or a column is missing; there are not 8 names; a row does not
            parse; a clip is in two splits, twice in a part, or has another action or animal in
            another row; or there is no such group.
    """
    check_source(source)
    workbook = options.annotations or find_file(
        annotation_folders(source), WORKBOOK, "workbook with the protocol for unseen animals"
    )
    names = ACTIONS if options.action_labels is None else read_labels(options.action_labels)
    if len(names) != len(ACTIONS):
        # Such as Animal Kingdom's own 140, of which the first would be taken.
        raise AnnotationError(
            f"{options.action_labels} has {len(names)} names; the sheet {SHEET} numbers "
            f"{len(ACTIONS)} actions, 0 to {len(ACTIONS) - 1}"
        )
    rows = _read_rows(workbook)
    part = _training_part(rows, options.train_group, workbook)
    groups = group_names(row.sub_class for row in rows)
    clips = [
        _clip(row, names, groups[row.sub_class])
        for row in rows
        if row.part == part or row.part in EVALUATED
    ]
    notes = [f"trained on: the part {part!r} of the sheet {SHEET}"]
    if options.action_labels is None:
        notes.append(
            f"the sheet {SHEET} numbers its actions without names; 0 to {len(names) - 1} are taken "
            f"for {', '.join(names)}; --action_labels=CSV gives others"
        )
    notes += _odd_names_note(clips)
    videos, clips = videos_of_animal_kingdom(source, clips)
    notes += checked_notes(videos, may_be_missing=options.may_lack_videos)
    return make_annotations(
        clips,
        roots=[videos.folder],
        multi_label=False,
        action_names=names,
        are_frames=videos.are_frames,
        notes=notes,
    )


def files_of_animal_kingdom_unseen(source: Path) -> tuple[Sought, ...]:
    """The files of a distribution that are looked for."""
    return (sought("official workbook", WORKBOOK, annotation_folders(source), is_needed=True),)


def group_names(sub_classes: Iterable[str]) -> dict[str, str]:
    """A short name for each sub-class: its first words, unless another sub-class has the same.

    Args:
        sub_classes: as the sheet has them, such as "Water Bird_Duck_Swan_Goose".

    Returns:
        sub-class -> name, such as "water bird".
    """
    short = {
        whole: " ".join(whole.replace("/", "_").partition("_")[0].casefold().split())
        for whole in sub_classes
    }
    counts = Counter(short.values())
    return {
        whole: name if name and counts[name] == 1 else whole.casefold()
        for whole, name in short.items()
    }


def _read_rows(workbook: Path) -> list[_Row]:
    rows: list[_Row] = []
    first: dict[str, _Row] = {}
    of_part: dict[tuple[str, str], _Row] = {}
    for place, values in sheet_rows(workbook, SHEET, COLUMNS):
        texts = [cell_text(values[column]) for column in COLUMNS]
        if not any(texts):
            continue
        for column, text in zip(COLUMNS, texts, strict=True):
            if not text:
                raise AnnotationError(f"{place}: the {column} is empty")
        row = _Row(place, *texts)
        if row.part not in (BASELINE, *EVALUATED) and not row.part.startswith(GROUP_PART):
            raise AnnotationError(
                f"{place}: the train_test {quoted(row.part)} is not {BASELINE}, "
                f"{GROUP_PART}..., {' or '.join(EVALUATED)}"
            )
        other = first.setdefault(row.video_id, row)
        for what in ("split", "action", "animal"):
            ours, before = getattr(row, what), getattr(other, what)
            if ours != before:
                raise AnnotationError(
                    f"{place}: the {what} of the clip {quoted(row.video_id)} is {quoted(ours)} "
                    f"here and {quoted(before)} in {_short_place(other.place)}"
                )
        twin = of_part.setdefault((row.video_id, row.part), row)
        if twin is not row:
            raise AnnotationError(
                f"{place}: the clip {quoted(row.video_id)} is in {quoted(row.part)} already, "
                f"in {_short_place(twin.place)}"
            )
        rows.append(row)
    splits = {row.split for row in rows}
    for split in ("train", *EVALUATED):
        if split not in splits:
            raise no_clips(f"{workbook}, sheet {SHEET},", split)
    return rows


def _short_place(place: str) -> str:
    """A place in the same sheet: "row 12"."""
    return place.rpartition(", ")[2]


def _training_part(rows: Sequence[_Row], group: str, workbook: Path) -> str:
    """Which part is trained on.

    Args:
        group: its name without "train_", or the beginning of it; "" for the baseline.
    """
    parts = dict.fromkeys(row.part for row in rows if row.split == "train")
    if not group:
        if BASELINE not in parts:
            raise AnnotationError(
                f"{workbook}, sheet {SHEET}: no row has the train_test {BASELINE!r}; there are "
                f"{shortened(', '.join(parts)) or 'no rows to train on'}"
            )
        return BASELINE
    wanted = "_".join(group.casefold().replace("_", " ").split())
    names = [part.removeprefix(GROUP_PART) for part in parts if part != BASELINE]
    exact = [name for name in names if name.casefold() == wanted]
    found = exact or [name for name in names if wanted and name.casefold().startswith(wanted)]
    if not found:
        raise AnnotationError(
            f"--train_group: {workbook}, sheet {SHEET}, has no group {quoted(group)}; expected the "
            f"beginning of one of {shortened(', '.join(names)) or 'none that are there'}"
        )
    if len(found) > 1:
        raise AnnotationError(
            f"--train_group: {quoted(group)} is the beginning of {shortened(', '.join(found))}; "
            "give more of the name"
        )
    return GROUP_PART + found[0]


def _clip(row: _Row, names: Sequence[str], group: str) -> Clip:
    return make_clip(
        f"{row.video_id}.mp4",
        actions=[label_at(names, row.action, place=row.place, what="action")],
        animals=[row.animal],
        split=row.split,
        source=row.place,
        group=group,
    )


def _odd_names_note(clips: Sequence[Clip]) -> list[str]:
    """A line that lists the animals whose names look damaged; they are kept as they are."""
    counts = Counter(animal for clip in clips for animal in clip.animals)
    odd = []
    for name, count in counts.items():
        found = [letter for letter in name if _is_odd(letter)]
        if found:
            letters = ", ".join(f"{letter} U+{ord(letter):04X}" for letter in dict.fromkeys(found))
            odd.append(f"{quoted(name)} ({letters}; {count} clip{'s' * (count != 1)})")
    if not odd:
        return []
    more = f" and {len(odd) - _NAMES_SHOWN} more" if len(odd) > _NAMES_SHOWN else ""
    return [f"names of animals kept as they are: {', '.join(odd[:_NAMES_SHOWN])}{more}"]


def _is_odd(letter: str) -> bool:
    """Whether a character does not belong into an English or Latin name of an animal."""
    if letter.isalpha():
        return not unicodedata.name(letter, "").startswith("LATIN")
    return not (letter.isdigit() or letter in " -'’.,()/&")
