"""Rows of a video, its action and its animal: the forms of MammalNet and LoTE-Animal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.forms import Form
from data_pipeline.annotations.label_files import (
    Spelling,
    csv_rows,
    label_at,
    lines_of_split,
)
from data_pipeline.annotations.record import AnnotationError, Clip, make_clip
from data_pipeline.limits import MOST_DIGITS

EXPECTED = "video <action id> <animal id>"
_SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True)
class _Row:
    place: str
    video: str
    labels: tuple[str, str]


class _Labels:
    """The actions or the animals, by id and by name."""

    def __init__(self, names: tuple[str, ...], what: str) -> None:
        self.names = names
        self._what = what
        self._spelling = Spelling(names)

    def __contains__(self, text: str) -> bool:
        is_id = text.isdecimal() and len(text) <= MOST_DIGITS and int(text) < len(self.names)
        return is_id or text in self._spelling

    def of(self, text: str, place: str) -> str:
        """The label that a text means.

        Raises:
            AnnotationError: there is none.
        """
        if text in self._spelling or any(letter.isalpha() for letter in text):
            return self._spelling.require(text, place, self._what)
        return label_at(self.names, text, place=place, what=self._what)


def read_single_label_clips(
    form: Form,
    *,
    actions: tuple[str, ...],
    animals: tuple[str, ...],
    video_folders: Sequence[str] = (),
) -> tuple[list[Clip], list[str]]:
    """Clips with one action and one animal each.

    Cells are separated by commas, semicolons or tabs, or by spaces, of which the video's name may
    hold some more. Labels are ids or names; if the action comes first in no file, the animal does.

    Args:
        form: has the file of each split.
        actions: names in label order.
        animals: the same.
        video_folders: names that the folder of videos may have: a path that begins with one is
            relative to the folder above it.

    Returns:
        The clips, and notes for a person.

    Raises:
        FileNotFoundError: a file is not there.
        AnnotationError: a file without a row, or a row that does not parse or names an unknown
            label.
    """
    both = (_Labels(actions, "action"), _Labels(animals, "animal"))
    rows = {split: _rows(path, split, both) for split, path in form.files.items()}
    everything = [row for of_split in rows.values() for row in of_split]
    # A wrong number or two in the usual order are wrong numbers.
    num_strange = sum(not _all_known([row], both) for row in everything)
    swapped = 2 * num_strange > len(everything) and _all_known(everything, both[::-1])
    folded = {name.casefold() for name in video_folders}
    clips = []
    for split, of_split in rows.items():
        for row in of_split:
            action, animal = row.labels[::-1] if swapped else row.labels
            clips.append(
                make_clip(
                    _below(row.video, folded),
                    actions=[both[0].of(action, row.place)],
                    animals=[both[1].of(animal, row.place)],
                    split=split,
                    source=row.place,
                )
            )
    notes = [f"in {form}, the animal stands before the action"] if swapped else []
    return clips, notes


def compositions_note(clips: Sequence[Clip]) -> str:
    """How many pairs of an animal and an action the test clips show, and how many of those training
    has, which a compositional split keeps apart."""
    trained = {pair for clip in clips if clip.split == "train" for pair in clip.performed}
    tested = Counter(pair for clip in clips if clip.split == "test" for pair in clip.performed)
    seen = Counter({pair: number for pair, number in tested.items() if pair in trained})
    return (
        f"of the {len(tested)} pairs of an animal and an action in the {tested.total()} test "
        f"clips, {len(seen)} are in training, too ({seen.total()} clips), and "
        f"{len(tested) - len(seen)} are not ({tested.total() - seen.total()} clips)"
    )


def _rows(path: Path, split: str, both: tuple[_Labels, _Labels]) -> list[_Row]:
    lines = lines_of_split(path, split)
    separator = next((one for one in _SEPARATORS if lines[0][1].count(one) >= 2), None)
    if separator is None:
        rows = [_Row(place, *_split_at_spaces(line, place, both)) for place, line in lines]
    else:
        rows = []
        for place, cells in csv_rows(path, delimiter=separator):
            if len(cells) != 3:
                raise AnnotationError(
                    f"{place}: {len(cells)} cells, expected 3: a video, its action and its animal; "
                    f"found {quoted(separator.join(cells))}"
                )
            rows.append(_Row(place, cells[0], (cells[1], cells[2])))
    if _is_header(rows[0], both):
        rows = rows[1:]
        if not rows:
            raise AnnotationError(f"{path} has a header and no clip")
    return rows


def _split_at_spaces(
    line: str, place: str, both: tuple[_Labels, _Labels]
) -> tuple[str, tuple[str, str]]:
    """A video and its labels; both may hold spaces, labels only if they are names."""
    fields = line.rsplit(maxsplit=2)
    if len(fields) == 3 and not all(field.isdecimal() for field in fields[1:]):
        for first, second in (both, both[::-1]):
            rest, last = _ending(line, second.names)
            video, before = _ending(rest, first.names)
            if video and last and before:
                return video, (before, last)
    if len(fields) != 3:
        raise AnnotationError(f"{place}: expected `{EXPECTED}`, found {quoted(line)}")
    return fields[0], (fields[1], fields[2])


def _ending(line: str, names: Sequence[str]) -> tuple[str, str]:
    """A line without the name that it ends with, and that name, the longest of several."""
    folded = line.casefold()
    ends = [name for name in names if folded.endswith(f" {name.casefold()}")]
    if not ends:
        return line, ""
    name = max(ends, key=len)
    return line[: -len(name)].rstrip(), name


def _is_header(row: _Row, both: tuple[_Labels, _Labels]) -> bool:
    """Whether a file's first row names its columns: words without suffixes, folders and numbers,
    and no labels. Anything more would take a broken line for one, and its clip would be lost."""
    return (
        not any(letter in cell for cell in (row.video, *row.labels) for letter in "./\\")
        and all(label[:1].isalpha() for label in row.labels)
        and not any(label in labels for label in row.labels for labels in both)
    )


def _all_known(rows: Sequence[_Row], labels: tuple[_Labels, ...]) -> bool:
    return all(
        text in known for row in rows for text, known in zip(row.labels, labels, strict=True)
    )


def _below(video: str, folders: set[str]) -> str:
    """A path without the folder of videos that it begins with."""
    parts = PurePosixPath(video).parts
    if len(parts) > 1 and parts[0].casefold() in folders:
        return PurePosixPath(*parts[1:]).as_posix()
    return video
