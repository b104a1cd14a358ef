"""Animal Kingdom's forms as text: a clip a line with its pairs, and, in the manner of Charades, a
frame a line, which does not name the animals.
"""

from collections.abc import Mapping
from pathlib import Path

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.animal_pairs import read_pairs
from data_pipeline.annotations.label_files import (
    Spelling,
    cells_of_line,
    label_at,
    lines_of_split,
    no_clips,
    numbered_lines,
)
from data_pipeline.annotations.record import AnnotationError, Clip, Repair, make_clip, repair_at

CHARADES_HEADER = ["original_vido_id", "video_id", "frame_id", "path", "labels"]


def read_text_form(
    files: Mapping[str, Path], actions: Spelling, animals: Spelling
) -> tuple[list[Clip], list[Repair]]:
    """Lines of `video.mp4<TAB>[('Common Crane', 'Attending'), ...]`.

    Args:
        files: of each split.
        actions: how they are spelled.
        animals: the same.

    Raises:
        FileNotFoundError: one of the files is not there.
        AnnotationError: a file without a line, or a line that does not parse.
    """
    clips: list[Clip] = []
    repairs: list[Repair] = []
    for split, path in files.items():
        for place, line in lines_of_split(path, split):
            video, separator, text = line.partition("\t")
            if not separator:
                raise AnnotationError(
                    f"{place}: expected `video.mp4<TAB>[('animal', 'action'), ...]`, "
                    f"found {quoted(line)}"
                )
            pairs, wrong = read_pairs(text, place)
            repairs += [repair_at(place, path, "", *what) for what in wrong]
            performed = [(animals.of(animal), actions.of(action)) for animal, action in pairs]
            clips.append(
                make_clip(
                    video.strip(),
                    actions=[action for _, action in performed],
                    animals=[animal for animal, _ in performed],
                    split=split,
                    source=place,
                    performed=performed,
                )
            )
    return clips, repairs


def read_charades_form(files: Mapping[str, Path], actions: tuple[str, ...]) -> list[Clip]:
    """Rows of `original_vido_id video_id frame_id path labels`, one a frame; animals are not known.

    Args:
        files: of each split.
        actions: names in the order of their numbers.

    Raises:
        FileNotFoundError: one of the files is not there.
        AnnotationError: a file without a row, or a row that does not parse or names an unknown
            label.
    """
    return [clip for split, path in files.items() for clip in _charades_clips(path, split, actions)]


def _charades_clips(path: Path, split: str, actions: tuple[str, ...]) -> list[Clip]:
    labels: dict[str, dict[str, str]] = {}  # of each video: the action names and where they stand
    seen: set[tuple[bytes, bytes]] = set()

    def is_known(line: bytes) -> bool:
        # Most of the millions of lines say of a frame what was said of the one before.
        if line.count(b" ") != len(CHARADES_HEADER) - 1:
            return False
        said = (line[: line.index(b" ")], line[line.rindex(b" ") :])
        is_new = said not in seen
        seen.add(said)
        return not is_new

    for place, line in numbered_lines(path, skip=is_known):
        row = cells_of_line(line, place, delimiter=" ")
        if row[: len(CHARADES_HEADER)] == CHARADES_HEADER:
            continue
        is_whole = len(row) >= len(CHARADES_HEADER) and row[0] != CHARADES_HEADER[0] and row[4]
        # A space at the end of a line makes an empty cell.
        if not is_whole or any(row[len(CHARADES_HEADER) :]):
            raise AnnotationError(
                f"{place}: expected `{' '.join(CHARADES_HEADER)}`, found {quoted(' '.join(row))}"
            )
        of_video = labels.setdefault(row[0], {})
        for number in row[4].split(","):
            name = label_at(actions, number.strip(), place=place, what="action")
            of_video.setdefault(name, place)
    if not labels:
        raise no_clips(path, split)
    return [
        make_clip(
            f"{video}.mp4",
            actions=named,
            animals=(),
            split=split,
            source=next(iter(named.values())),
        )
        for video, named in labels.items()
    ]
