"""Which animal performs which action: from the training split or a file, and if asked for, from
what the other animals of its class do."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from animal_clip_jax.classes.file_errors import SHOWN, FileErrors, csv_rows
from animal_clip_jax.errors import MissingFileError, UserError, quoted
from animal_clip_jax.files import check_is_file
from data_pipeline.annotations.relation_file import read_relation
from data_pipeline.clip_index import ClipIndex
from data_pipeline.dataset import DatasetInfo


@dataclasses.dataclass(frozen=True)
class Inheritance:
    """What animals took over from others of their class.

    Attributes:
        relation: (actions, animals) float32, with what they took over.
        heirs: how many animals took over actions, by class.
    """

    relation: np.ndarray
    heirs: Mapping[str, int]


def relation_of(
    info: DatasetInfo,
    train_index: ClipIndex,
    *,
    file: str = "",
    taxonomy: str = "",
    min_clips: int = 0,
) -> tuple[np.ndarray, str]:
    """The relation that a model is trained with.

    Args:
        info: of the data set; its `relation_counts` are those of the clips trained on.
        train_index: the clips that are trained on.
        file: of relations, see `read_relations`; "" takes what the training clips show.
        taxonomy: file of the animals' classes, see `read_taxonomy`; "" leaves inheritance out.
        min_clips: animals with fewer training clips inherit the actions of their class.

    Returns:
        (actions, animals) float32, 1 where the animal performs the action, else 0; and a text that
        says where it comes from.

    Raises:
        UserError: a file is missing or damaged, or does not fit the labels.
    """
    if file:
        relation = read_relations(file, info.action_names, info.animal_names)
        origin = file
    else:
        relation = (info.relation_counts.T > 0).astype(np.float32)
        origin = "the training split"
    said = f"relation graph: {int(relation.sum())} edges, from {origin}"
    if not taxonomy:
        return relation, said
    classes = read_taxonomy(taxonomy, info.animal_names)
    clips = np.bincount(
        [animal for of_clip in train_index.animals for animal in of_clip],
        minlength=len(info.animal_names),
    )
    inherited = inherit(relation, classes, clips, min_clips)
    by_class = ", ".join(
        f"{count} of {name}"
        for name, count in sorted(inherited.heirs.items(), key=lambda item: (-item[1], item[0]))
    )
    unclassed = [name for name, of in zip(info.animal_names, classes, strict=True) if not of]
    without = ""
    if unclassed:
        more = f" and {len(unclassed) - SHOWN} more" if len(unclassed) > SHOWN else ""
        without = f"; without a class: {', '.join(unclassed[:SHOWN])}{more}"
    return inherited.relation, (
        f"{said}; {int(inherited.relation.sum())} after {sum(inherited.heirs.values())} animals "
        f"with fewer than {min_clips} training clips inherited the actions of their class"
        f"{f' ({by_class})' if by_class else ''}{without}"
    )


def read_relations(
    path: str | pathlib.Path,
    action_names: Sequence[str],
    animal_names: Sequence[str],
    *,
    allow_ids: bool = True,
) -> np.ndarray:
    """Reads who does what from a file of either form.

    - By name: CSV with the header `animal,action` (further columns are not looked at, so that the
      `relation.csv` of a converted data set can be given), a row for each pair.
    - By id, as distributed with the annotations: see `relation_file.read_relation`. The ids count
      the actions of the data set, so they mean nothing for other labels.

    Args:
        action_names, animal_names: the labels, in order.
        allow_ids: whether these labels are the ones that ids count.

    Returns:
        (actions, animals) float32, 1 where the animal performs the action, else 0.

    Raises:
        UserError: it is missing or damaged, names a class that is not one of the labels, or is by
            id where ids mean nothing.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise MissingFileError(f"config.relation.file: there is no file {path}")
    check_is_file(path, "a file of relations (config.relation.file)")
    if path.suffix.lower() == ".csv":
        return _read_pairs(path, action_names, animal_names)
    if not allow_ids:
        raise UserError(
            f"config.relation.file: {path} gives actions by id, which count the actions of the "
            "training; for other labels give a .csv file with the header `animal,action` and names"
        )
    return (read_relation(path, action_names, animal_names).T > 0).astype(np.float32)


def _read_pairs(
    path: pathlib.Path, action_names: Sequence[str], animal_names: Sequence[str]
) -> np.ndarray:
    relation = np.zeros((len(action_names), len(animal_names)), np.float32)
    action_of = {name: index for index, name in enumerate(action_names)}
    animal_of = {name: index for index, name in enumerate(animal_names)}
    errors = FileErrors(path)
    rows, _ = csv_rows(errors)
    if not rows or rows[0][1][:2] != ["animal", "action"]:
        errors.add("expected the header `animal,action`", rows[0][0] if rows else 1)
    for line, row in rows[1:]:
        if len(row) < 2:
            errors.add(f"expected an animal and an action, found {quoted(row)}", line)
            continue
        if len(row) > len(rows[0][1]):
            errors.add(
                f"{len(row)} columns, the header has {len(rows[0][1])}; a name with a comma in it "
                "must be in double quotes",
                line,
            )
            continue
        for kind, name, known in (("animal", row[0], animal_of), ("action", row[1], action_of)):
            if name not in known:
                errors.add(f"the {kind} {quoted(name)} is not one of the labels", line)
        if row[0] in animal_of and row[1] in action_of:
            relation[action_of[row[1]], animal_of[row[0]]] = 1
    errors.check()
    if len(rows) == 1:
        raise UserError(f"{path}: no row follows the header; no animal would do anything")
    return relation


def inherit(
    relation: np.ndarray, classes: Sequence[str], clips: np.ndarray, min_clips: int
) -> Inheritance:
    """Gives animals that are hardly known the actions of all animals of their class.

    Args:
        relation: (actions, animals), 1 where the animal performs the action, else 0.
        classes: of each animal; one of the class "" inherits nothing.
        clips: (animals,) training clips of each.
        min_clips: animals with fewer inherit; the others keep what they have.
    """
    members = np.array(classes)
    extended = relation.astype(np.float32)
    heirs: collections.Counter[str] = collections.Counter()
    for name in filter(None, dict.fromkeys(classes)):
        is_member = members == name
        is_heir = is_member & (clips < min_clips)
        of_class = relation[:, is_member].max(axis=1)
        extended[:, is_heir] = of_class[:, None]
        heirs[name] = int(is_heir.sum())
    return Inheritance(extended, {name: count for name, count in heirs.items() if count})


def read_taxonomy(path: str | pathlib.Path, animal_names: Sequence[str]) -> list[str]:
    """Reads the class of every animal: CSV, a header line, then rows of `animal,class`.

    Names may differ from the labels in case.

    Returns:
        the classes in the order of the labels; "" for an animal whose class is left empty.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an animal is not among the labels, has no row or stands there twice, or a row
            does not parse. The message lists all that is wrong (the first 20), each with its line.
    """
    errors = FileErrors(path)
    if not errors.path.exists():
        raise MissingFileError(f"config.relation.taxonomy: there is no file {errors.path}")
    labels = {name.casefold(): name for name in animal_names} | {
        name: name for name in animal_names
    }
    rows, is_whole = csv_rows(errors)
    if rows and rows[0][1][0] not in labels:
        del rows[0]
    elif rows:
        errors.add("expected the header `animal,class`, found an animal", rows[0][0])
    classes: dict[str, str] = {}
    first_line: dict[str, int] = {}
    for line, row in rows:
        name = labels.get(row[0]) or labels.get(row[0].casefold())
        if len(row) != 2:
            errors.add(f"expected 2 columns (animal, class), found {len(row)}", line)
        elif name is None:
            errors.add(f"the animal {quoted(row[0])} is not one of the labels", line)
        elif len(row[1].splitlines()) > 1:
            errors.add(f"the class {quoted(row[1])} of {name!r} has a line break in it", line)
        elif name in first_line:
            errors.add(f"the animal {name!r} stands on line {first_line[name]} already", line)
        if name is not None:
            first_line.setdefault(name, line)
            classes.setdefault(name, row[1] if len(row) > 1 else "")
    missing = [name for name in animal_names if name not in classes]
    if missing and is_whole:
        shown = ", ".join(map(repr, missing[:SHOWN]))
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        errors.add(f"no row for {len(missing)} of the {len(animal_names)} animals: {shown}{more}")
    errors.check()
    return [classes[name] for name in animal_names]
