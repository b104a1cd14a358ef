"""Animal Kingdom's workbook `AR_metadata.xlsx`: the official splits.

Sheet `AR` has a row for each clip, `Action` the numbers of the actions and `Animal` the spelling of
the animals. `animal_kingdom_unseen` reads its sheet `CARe`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from animal_clip_jax.errors import quoted, shortened
from data_pipeline.annotations.animal_pairs import read_pairs
from data_pipeline.annotations.label_files import Spelling, label_at, no_clips, read_number
from data_pipeline.annotations.record import (
    AnnotationError,
    Clip,
    Repair,
    check_name,
    make_clip,
    repair_at,
)
from data_pipeline.annotations.workbook import Workbook, cell_text, is_error, sheet_rows

# Kinds of repairs.
LIST_IN_LIST = "a list within a list"
ERROR_FOR_NUMBER = "an error in place of a number"
OTHER_LABELS = "labels are not the actions of the pairs"
NO_LABELS = "no labels"
NO_ANIMALS = "no animals"
OTHER_NAME = "a name that is known under another"

# A list whose entries are texts of lists.
NESTED = re.compile(r"""\[\s*+\\*+['"]\s*+\[""")
# Names in the clips' rows that the label lists know under a longer one.
ANIMAL_ALIASES = {"common quail": "common quail bird", "cuckoo bird": "common cuckoo bird"}


class ClipSheet(NamedTuple):
    """What the sheet `AR` holds.

    Attributes:
        clips: by video id, in the order of the rows.
        repairs: of the rows that are not as they should be.
        unlisted: animals that the sheet `Animal` does not list, under any spelling.
    """

    clips: dict[str, Clip]
    repairs: tuple[Repair, ...]
    unlisted: tuple[str, ...]


def read_action_sheet(workbook: Workbook) -> tuple[tuple[str, ...], tuple[Repair, ...]]:
    """Names of the actions in the order of their numbers, and what had to be repaired.

    Where an error of Excel's stands instead of one number, it is the one that no other row has.

    Raises:
        AnnotationError: the sheet or a column is missing, the numbers have gaps, or an error of
            Excel's can be more than one number.
    """
    names: dict[int, str] = {}
    without: list[tuple[str, str, str]] = []  # place, error, name
    for place, row in workbook.rows("Action", ("label", "action"), errors_in=("label",)):
        if row["label"] is None and row["action"] is None:
            continue
        name = cell_text(row["action"])
        check_name(name, place, "action")
        label = cell_text(row["label"])
        is_new = name not in names.values() and all(name != other for _, _, other in without)
        if is_new and is_error(row["label"]):
            without.append((place, label, name))
            continue
        number = read_number(label, place=place, what="label")
        if number in names or not is_new:
            raise AnnotationError(f"{place}: {number}, {quoted(name)} is no new number and name")
        names[number] = name
    repairs = []
    if without:
        place, error, name = without[0]
        left = [number for number in range(len(names) + len(without)) if number not in names]
        if len(without) > 1 or len(left) > 1:
            raise AnnotationError(
                f"{place}: the label of {quoted(name)} is Excel's error {error}, and it may be any "
                f"of {shortened(', '.join(map(str, left)))}; write the number there"
            )
        names[left[0]] = name
        repairs.append(
            repair_at(place, workbook.path, "Action", ERROR_FOR_NUMBER, error, f"{left[0]} {name}")
        )
    if sorted(names) != list(range(len(names))):
        missing = min(set(range(len(names))) - set(names))
        raise AnnotationError(
            f"{workbook.path}, sheet Action: the labels of {len(names)} actions are not 0 to "
            f"{len(names) - 1}; {missing} is missing"
        )
    return tuple(names[number] for number in range(len(names))), tuple(repairs)


def read_animal_sheet(workbook: Workbook) -> tuple[str, ...]:
    """Names of the animals as the sheet `Animal` spells them, sorted.

    Raises:
        AnnotationError: the sheet or a column is missing, or a name is none.
    """
    names = set()
    for place, row in workbook.rows("Animal", ("animal",)):
        if row["animal"] is not None:
            check_name(cell_text(row["animal"]), place, "animal")
            names.add(cell_text(row["animal"]))
    return tuple(sorted(names))


def read_animal_classes(workbook: Path, column: str) -> dict[str, str]:
    """The class of every animal in the sheet `Animal` that has one, as both are spelled there.

    Args:
        workbook: `AR_metadata.xlsx`.
        column: which column holds the classes, without regard to case.

    Raises:
        AnnotationError: the sheet or the column is missing, or an animal has two classes.
    """
    classes: dict[str, str] = {}
    column = column.casefold()
    for place, row in sheet_rows(workbook, "Animal", ("animal", column)):
        animal, name = cell_text(row["animal"]), cell_text(row[column])
        if not animal or not name:
            continue
        if classes.setdefault(animal, name) != name:
            raise AnnotationError(
                f"{place}: the animal {quoted(animal)} is {quoted(name)} here, "
                f"{quoted(classes[animal])} before"
            )
    return classes


def read_clip_sheet(
    workbook: Workbook,
    actions: tuple[str, ...],
    animals: Spelling,
    *,
    actions_from: str = "labels",
) -> ClipSheet:
    """The clips of the sheet `AR`.

    Args:
        workbook: `AR_metadata.xlsx`.
        actions: names in the order of their numbers.
        animals: how the animals are spelled; others are taken as they are.
        actions_from: whether the "labels" decide which actions a clip shows, as in the official
            evaluation, or the "pairs" of an animal and an action. Who performs what is in the pairs
            either way, and may be an action that the labels lack.

    Raises:
        AnnotationError: a row that does not parse, names an unknown action, or has a video id that
            a row before it has; or no row is for training.
    """
    spelled = Spelling(actions)
    columns = ("video_id", "type", "labels", "list_animal_action")
    clips: dict[str, Clip] = {}
    repairs: list[Repair] = []
    unlisted: dict[str, None] = {}
    for place, row in workbook.rows("AR", columns):
        if all(value is None for value in row.values()):
            continue
        cells = {name: cell_text(value) for name, value in row.items()}
        video_id, split = cells["video_id"], cells["type"]
        if split not in ("train", "test"):
            raise AnnotationError(f"{place}: the type is {quoted(split)}, neither train nor test")
        if not video_id:
            raise AnnotationError(f"{place}: the video_id is empty")
        performed, found = _pairs(cells["list_animal_action"], place, spelled, animals)
        named, of_labels = _actions(cells, place, actions, performed, actions_from)
        repairs += [repair_at(place, workbook.path, "AR", *what) for what in (*found, *of_labels)]
        if not named:
            continue  # the repairs say that it is left out
        unlisted |= dict.fromkeys(animal for animal, _ in performed if animal not in animals)
        clip = make_clip(
            f"{video_id}.mp4",
            actions=named,
            animals=[animal for animal, _ in performed],
            split=split,
            source=place,
            performed=performed,
        )
        other = clips.setdefault(video_id, clip)
        if other is not clip:
            raise AnnotationError(
                f"{place}: the clip {quoted(video_id)} occurs again (before: {other.source})"
            )
    if not any(clip.split == "train" for clip in clips.values()):
        raise no_clips(f"{workbook.path}, sheet AR,", "train")
    return ClipSheet(clips, tuple(repairs), tuple(unlisted))


def _pairs(
    text: str, place: str, actions: Spelling, animals: Spelling
) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    """(animal, action) pairs of a cell, and (kind, found, taken as) of what is wrong with it."""
    if text == "[]":
        return [], []
    found, repairs = read_pairs(text, place)
    performed = []
    if NESTED.match(text):
        taken_as = ", ".join(f"{animal}: {action}" for animal, action in dict.fromkeys(found))
        repairs.append((LIST_IN_LIST, text, taken_as))
    renamed = {}
    for animal, action in found:
        known = animals.of(_alias(animal, animals))
        if known.casefold() != animal.casefold():
            renamed[animal] = known
        performed.append((known, actions.require(action, place, "action")))
    repairs += [(OTHER_NAME, animal, known) for animal, known in renamed.items()]
    return performed, repairs


def _actions(
    cells: Mapping[str, str],
    place: str,
    actions: tuple[str, ...],
    performed: Sequence[tuple[str, str]],
    actions_from: str,
) -> tuple[list[str], list[tuple[str, str, str]]]:
    """The actions of a clip, and (kind, found, taken as) of what is wrong with its labels."""
    text = cells["labels"]
    numbers = text.strip("[]").replace(",", " ").split()
    labelled = [label_at(actions, number, place=place, what="action") for number in numbers]
    of_pairs = list(dict.fromkeys(action for _, action in performed))
    if not labelled and not of_pairs:
        raise AnnotationError(f"{place}: neither the labels nor list_animal_action name an action")
    taken = of_pairs if actions_from == "pairs" or not labelled else labelled
    taken_as = ", ".join(taken)
    if not labelled:
        return taken, [(NO_LABELS, text, taken_as)]
    if not performed:
        as_what = taken_as or "left out, as it has no pairs"
        return taken, [(NO_ANIMALS, f"labels {text}, list_animal_action []", as_what)]
    if set(labelled) == set(of_pairs):
        return taken, []
    found = f"labels {text} ({', '.join(labelled)}), pairs of {', '.join(of_pairs)}"
    return taken, [(OTHER_LABELS, found, taken_as)]


def _alias(animal: str, animals: Spelling) -> str:
    alias = ANIMAL_ALIASES.get(animal.casefold())
    return alias if alias and animal not in animals and alias in animals else animal
