"""What came of trainings, and how it is written down."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import write_whole
from benchmarks.trainings.many import Kind


class Outcomes(NamedTuple):
    """Whether each clip was right.

    Attributes:
        of: 0/1 (seeds, clips) by name of what was trained, question and source; the clips of a
            question are the same for all.
    """

    of: Mapping[tuple[str, str, str], np.ndarray]

    @classmethod
    def of_trainings(
        cls, finished: Mapping[tuple[str, int], Mapping[str, Mapping[str, Mapping[str, int]]]]
    ) -> "Outcomes":
        """From what each training left, by name and seed: question, source, clip, 0 or 1."""
        gathered: dict[tuple[str, str, str], list[list[int]]] = {}
        for (name, _), by_question in sorted(finished.items()):
            for question, by_source in by_question.items():
                for source, by_clip in by_source.items():
                    row = [by_clip[clip] for clip in sorted(by_clip)]
                    gathered.setdefault((name, question, source), []).append(row)
        return cls({key: np.array(rows) for key, rows in gathered.items()})

    def trained(self, kinds: Sequence[Kind]) -> list[Kind]:
        """Those of some kinds that were trained."""
        names = {name for name, _, _ in self.of}
        return [kind for kind in kinds if kind.name in names]


def cell(outcomes: Outcomes, name: str, question: str, source: str) -> str:
    """The mean of the seeds and their standard deviation, in percent; a dash if nobody asked."""
    rows = outcomes.of.get((name, question, source))
    if rows is None:
        return "–"
    shares = 100 * rows.mean(axis=1)
    spread = f" ± {shares.std(ddof=1):.1f}" if len(shares) > 1 else ""
    return f"{shares.mean():.1f}{spread}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [f"| {' | '.join(row)} |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + " --- |" * len(header), *lines[1:]])


def put_into(path: pathlib.Path, text: str, name: str) -> None:
    """Puts tables into a page, between two comments that mark the place of that name.

    Raises:
        UserError: the page does not have them.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = path.read_text(encoding="utf-8")
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise UserError(f"{path} has no place for the tables: expected {begin} and {end}")
    write_whole(path, f"{before}{begin}\n\n{text}\n{end}{after}")
