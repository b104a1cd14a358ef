"""Which animal performs which action: from the training split or a file, and if asked for, from
what the other animals of its class do."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from animal_clip_jax.classes.file_errors import SHOWN, Faults, csv_rows
from data_pipeline.annotations.relation_file import read_relation
from data_pipeline.dataset import DatasetInfo, load_index


@dataclasses.dataclass(frozen=True)
class Inheritance:
    """What animals took over from others of their class.

    Attributes:
        relation: (actions, animals) float32, with what they took over.
        heirs: how many animals took over actions, by class.
    """

    relation: np.ndarray
    heirs: Mapping[str, int]


def relation_of(config: ConfigDict, info: DatasetInfo) -> tuple[np.ndarray, str]:
    """The relation that `config.relation` describes.

    Returns:
        (actions, animals) float32, 1 where the animal performs the action, else 0; and a text that
        says where it comes from.

    Raises:
        FileNotFoundError, ValueError: a file is missing or damaged, or does not fit the labels; the
            fields do not fit each other.
    """
    options = config.relation
    if options.min_clips < 0:
        raise ValueError(f"config.relation.min_clips is {options.min_clips}; expected 0 or more")
    if bool(options.taxonomy) != bool(options.min_clips):
        raise ValueError(
            f"config.relation.min_clips is {options.min_clips} and config.relation.taxonomy "
            f"{options.taxonomy!r}; animals inherit the actions of their class only with both, a "
            "number above 0 and a file"
        )
    if options.file:
        relation = relation_in(options.file, info.action_names, info.animal_names)
        origin = options.file
    else:
        relation = (info.relation_counts.T > 0).astype(np.float32)
        origin = "the training split"
    said = f"relation graph: {int(relation.sum())} edges, from {origin}"
    if not options.taxonomy:
        return relation, said
    classes = read_taxonomy(options.taxonomy, info.animal_names)
    index = load_index(config.data.directory, config.data.train_split)
    clips = np.bincount(
        [animal for of_clip in index.animals for animal in of_clip],
        minlength=len(info.animal_names),
    )
    inherited = inherit(relation, classes, clips, options.min_clips)
    by_class = ", ".join(
        f"{count} of {name}"
        for name, count in sorted(inherited.heirs.items(), key=lambda item: (-item[1], item[0]))
    )
    return inherited.relation, (
        f"{said}; {int(inherited.relation.sum())} after {sum(inherited.heirs.values())} animals "
        f"with fewer than {options.min_clips} training clips inherited the actions of their class"
        f"{f' ({by_class})' if by_class else ''}"
    )


def relation_in(
    path: str | pathlib.Path, action_names: Sequence[str], animal_names: Sequence[str]
) -> np.ndarray:
    """The relation in a file, see `read_relation`.

    Returns:
        (actions, animals) float32, 1 where the animal performs the action, else 0.

    Raises:
        FileNotFoundError, ValueError: it is missing or damaged, or does not fit the names.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"config.relation.file: there is no file {path}")
    return (read_relation(path, action_names, animal_names).T > 0).astype(np.float32)


def inherit(
    relation: np.ndarray, classes: Sequence[str], clips: np.ndarray, min_clips: int
) -> Inheritance:
    """Gives animals that are hardly known the actions of all animals of their class.

    Args:
        relation: (actions, animals), 1 where the animal performs the action, else 0.
        classes: of each animal.
        clips: (animals,) training clips of each.
        min_clips: animals with fewer inherit; the others keep what they have.
    """
    members = np.array(classes)
    extended = relation.astype(np.float32)
    heirs: collections.Counter[str] = collections.Counter()
    for name in dict.fromkeys(classes):
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
        the classes in the order of the labels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an animal is not among the labels, has no class or stands there twice, or a row
            does not parse. The message lists all that is wrong (the first 20), each with its line.
    """
    faults = Faults(path)
    if not faults.path.is_file():
        raise FileNotFoundError(f"config.relation.taxonomy: there is no file {faults.path}")
    labels = {name.casefold(): name for name in animal_names} | {
        name: name for name in animal_names
    }
    rows, is_whole = csv_rows(faults)
    if rows and rows[0][1][0] not in labels:
        del rows[0]
    elif rows:
        faults.add("expected the header `animal,class`, found an animal", rows[0][0])
    classes: dict[str, str] = {}
    first_line: dict[str, int] = {}
    for line, row in rows:
        name = labels.get(row[0]) or labels.get(row[0].casefold())
        if len(row) != 2:
            faults.add(f"expected 2 columns (animal, class), found {len(row)}", line)
        elif name is None:
            faults.add(f"the animal {row[0]!r} is not one of the labels", line)
        elif not row[1]:
            faults.add(f"the animal {name!r} has no class", line)
        elif name in first_line:
            faults.add(f"the animal {name!r} stands on line {first_line[name]} already", line)
        if name is not None:
            first_line.setdefault(name, line)
            classes.setdefault(name, row[1] if len(row) > 1 else "")
    missing = [name for name in animal_names if name not in classes]
    if missing and is_whole:
        shown = ", ".join(map(repr, missing[:SHOWN]))
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        faults.add(f"no row for {len(missing)} of the {len(animal_names)} animals: {shown}{more}")
    faults.check()
    return [classes[name] for name in animal_names]
