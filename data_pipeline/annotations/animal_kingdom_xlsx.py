"""Animal Kingdom's workbook `AR_metadata.xlsx`: the official splits, and the unseen-animal
protocol.

Sheet `AR` has a row for each clip, `Action` the numbers of the actions, `Animal` the spelling of
the animals, and `CARe` the protocol that tests on kinds of animals that were not trained on.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.animal_pairs import parse_pairs
from data_pipeline.annotations.label_files import Spelling, label_at, no_clips, read_number
from data_pipeline.annotations.record import AnnotationError, Clip, check_name, make_clip
from data_pipeline.annotations.workbook import cell_text, sheet_rows

# Names in the clips' rows that the label lists know under a longer one.
ANIMAL_ALIASES = {"common quail": "common quail bird", "cuckoo bird": "common cuckoo bird"}


def read_action_sheet(workbook: Path) -> tuple[str, ...]:
    """Names of the actions in the order of their numbers.

    Raises:
        AnnotationError: the sheet or a column is missing, or the numbers have gaps.
    """
    names: dict[int, str] = {}
    for place, row in sheet_rows(workbook, "Action", ("label", "action")):
        if row["label"] is None and row["action"] is None:
            continue
        number = read_number(cell_text(row["label"]), place=place, what="label")
        name = cell_text(row["action"])
        check_name(name, place, "action")
        if number in names or name in names.values():
            raise AnnotationError(f"{place}: {number}, {quoted(name)} is no new number and name")
        names[number] = name
    if sorted(names) != list(range(len(names))):
        raise AnnotationError(f"{workbook}, sheet Action: the numbers have gaps")
    return tuple(names[number] for number in range(len(names)))


def read_animal_sheet(workbook: Path) -> tuple[str, ...]:
    """Names of the animals as the sheet `Animal` spells them, sorted.

    Raises:
        AnnotationError: the sheet or a column is missing, or a name is none.
    """
    names = set()
    for place, row in sheet_rows(workbook, "Animal", ("animal",)):
        if row["animal"] is not None:
            check_name(cell_text(row["animal"]), place, "animal")
            names.add(cell_text(row["animal"]))
    return tuple(sorted(names))


def read_animal_classes(workbook: Path, column: str) -> dict[str, str]:
    """The class of every animal in the sheet `Animal`, as both are spelled there.

    Args:
        workbook: `AR_metadata.xlsx`.
        column: which column holds the classes, without regard to case.

    Raises:
        AnnotationError: the sheet or the column is missing, or an animal has two classes or none.
    """
    classes: dict[str, str] = {}
    column = column.casefold()
    for place, row in sheet_rows(workbook, "Animal", ("animal", column)):
        animal, name = cell_text(row["animal"]), cell_text(row[column])
        if not animal:
            continue
        if not name:
            raise AnnotationError(f"{place}: the animal {quoted(animal)} has no {column}")
        if classes.setdefault(animal, name) != name:
            raise AnnotationError(
                f"{place}: the animal {quoted(animal)} is {quoted(name)} here, "
                f"{quoted(classes[animal])} before"
            )
    return classes


def read_clip_sheet(
    workbook: Path, actions: tuple[str, ...], animals: Spelling
) -> Iterator[tuple[str, Clip]]:
    """Yields (video id, clip) for each row of the sheet `AR`.

    Its `labels` decide which actions a clip shows, `list_animal_action` who performs them.

    Args:
        workbook: `AR_metadata.xlsx`.
        actions: names in the order of their numbers.
        animals: how the animals are spelled.

    Raises:
        AnnotationError: a row that does not parse, or names an unknown action.
    """
    spelled = Spelling(actions)
    columns = ("video_id", "type", "labels", "list_animal_action")
    splits = set()
    for place, row in sheet_rows(workbook, "AR", columns):
        if all(value is None for value in row.values()):
            continue
        pairs = [
            (animals.of(_alias(animal, animals)), spelled.require(action, place, "action"))
            for animal, action in parse_pairs(cell_text(row["list_animal_action"]), place)
        ]
        numbers = cell_text(row["labels"]).strip("[]").replace(",", " ").split()
        named = [label_at(actions, number, place=place, what="action") for number in numbers]
        video_id, split = cell_text(row["video_id"]), cell_text(row["type"])
        if split not in ("train", "test"):
            raise AnnotationError(f"{place}: the type is {quoted(split)}, neither train nor test")
        if not video_id:
            raise AnnotationError(f"{place}: the video_id is empty")
        splits.add(split)
        yield (
            video_id,
            make_clip(
                f"{video_id}.mp4",
                actions=named or [action for _, action in pairs],
                animals=[animal for animal, _ in pairs],
                split=split,
                source=place,
                performed=pairs,
            ),
        )
    if "train" not in splits:
        raise no_clips(f"{workbook}, sheet AR,", "train")


def read_unseen_protocol(
    workbook: Path, clips: Mapping[str, Clip]
) -> tuple[list[Clip], tuple[str, ...]]:
    """The unseen-animal protocol: train, val and test hold different kinds of animals.

    The parts that are trained on (`baseline` and those beginning with `train`) become one split,
    "train". The sheet numbers its actions anew: a number means the action that most of its clips
    have.

    Args:
        workbook: `AR_metadata.xlsx`.
        clips: the clips of the sheet `AR` by video id, which know the animals.

    Returns:
        Its clips, and the names of its actions in the order of their numbers.

    Raises:
        AnnotationError: an unknown clip or part, a clip in two splits, or two numbers that mean the
            same action.
    """
    splits: dict[str, tuple[str, str]] = {}  # of each video: its split, and where that stands
    numbers: dict[str, list[str]] = defaultdict(list)
    for place, row in sheet_rows(workbook, "CARe", ("video_id", "train_test", "action")):
        if all(value is None for value in row.values()):
            continue
        video_id, split = (
            cell_text(row["video_id"]),
            _protocol_split(cell_text(row["train_test"]), place),
        )
        if video_id not in clips:
            raise AnnotationError(f"{place}: the sheet AR has no clip {quoted(video_id)}")
        # A clip may be listed more than once: for the baseline and for its kind of animal.
        before, source = splits.setdefault(video_id, (split, place))
        if before != split:
            raise AnnotationError(
                f"{place}: the clip {quoted(video_id)} is in {split!r} and in {before!r} ({source})"
            )
        number = str(read_number(cell_text(row["action"]), place=place, what="action"))
        if number not in numbers[video_id]:
            numbers[video_id].append(number)
    names = _names_of_numbers(numbers, clips)
    protocol = []
    for video_id, (split, source) in splits.items():
        actions = [names[number] for number in numbers[video_id]]
        protocol.append(
            make_clip(
                clips[video_id].path,
                actions=actions,
                animals=clips[video_id].animals,
                split=split,
                source=source,
                performed=[pair for pair in clips[video_id].performed if pair[1] in actions],
            )
        )
    return protocol, tuple(names.values())


def _names_of_numbers(
    numbers: Mapping[str, Sequence[str]], clips: Mapping[str, Clip]
) -> dict[str, str]:
    """The action that each number means, in the order of the numbers."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for video_id, of_video in numbers.items():
        for number in of_video:
            votes[number].update(clips[video_id].actions)
    names = {
        number: votes[number].most_common(1)[0][0]
        for number in sorted(votes, key=lambda number: (len(number), number))
    }
    if len(set(names.values())) < len(names):
        raise AnnotationError(f"sheet CARe: different action numbers mean the same action: {names}")
    return names


def _protocol_split(part: str, place: str) -> str:
    if part == "baseline" or part.startswith("train"):
        return "train"
    if part in ("val", "test"):
        return part
    raise AnnotationError(
        f"{place}: the part {quoted(part)} is not one of baseline, train_..., val and test"
    )


def _alias(animal: str, animals: Spelling) -> str:
    alias = ANIMAL_ALIASES.get(animal.casefold())
    return alias if alias and animal not in animals and alias in animals else animal
