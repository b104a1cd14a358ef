"""What came of the trainings, as tables, sentences and a figure."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import write_whole
from benchmarks.ablations.claims import CLAIMS, EXPECTED, Claim
from benchmarks.ablations.intervals import Difference, paired_difference
from benchmarks.ablations.one_training import SOURCES
from benchmarks.ablations.variants import BY_NAME
from benchmarks.questions import QUESTIONS

FIGURE = "images/ablations.svg"
_BEGIN, _END = "<!-- ablations: begin -->", "<!-- ablations: end -->"
_WORDS = {
    "labels": "given",
    "predicted": "recognised, zero-shot",
    "learned": "recognised, linear probe",
    "none": "not given",
}
# The variants whose sources are compared.
_OF_SOURCES = ("published", "dropout", "from-video", "mended", "recommended")


class Outcomes(NamedTuple):
    """Whether each clip was right.

    Attributes:
        of: 0/1 (seeds, clips) by variant, question and source; the clips of a question are the same
            for all variants.
    """

    of: Mapping[tuple[str, str, str], np.ndarray]

    @classmethod
    def of_jobs(
        cls, finished: Mapping[tuple[str, int], Mapping[str, Mapping[str, Mapping[str, int]]]]
    ) -> "Outcomes":
        """From what each training left, by variant and seed: question, source, clip, 0 or 1."""
        gathered: dict[tuple[str, str, str], list[list[int]]] = {}
        for (variant, _), by_question in sorted(finished.items()):
            for question, by_source in by_question.items():
                for source, by_clip in by_source.items():
                    row = [by_clip[clip] for clip in sorted(by_clip)]
                    gathered.setdefault((variant, question, source), []).append(row)
        return cls({key: np.array(rows) for key, rows in gathered.items()})

    def variants(self) -> list[str]:
        """The variants that were trained, in the order of the table of variants."""
        trained = {variant for variant, _, _ in self.of}
        return [name for name in BY_NAME if name in trained]


def differences(outcomes: Outcomes) -> list[tuple[Claim, str, Difference]]:
    """Every claim on each of its questions, where both of its sides were trained."""
    found = []
    for claim in CLAIMS:
        for question in claim.questions:
            sides = [
                outcomes.of.get((side.variant, question, side.source))
                for side in (claim.ours, claim.theirs)
            ]
            if sides[0] is not None and sides[1] is not None:
                found.append((claim, question, paired_difference(sides[0], sides[1])))
    return found


def written(outcomes: Outcomes) -> str:
    """Everything in Markdown."""
    seeds, _ = next(iter(outcomes.of.values())).shape
    clips = {question: rows.shape[1] for (_, question, _), rows in outcomes.of.items()}
    of_each = ", ".join(
        f"{question} {clips[question]}" for question in QUESTIONS if question in clips
    )
    parts = [
        f"Top-1 in percent, the mean of {seeds} seeds ± their standard deviation. Clips: "
        f"{of_each}.",
        "**Animals recognised from the clip** (zero-shot), as on a video that nobody labelled:",
        _by_variant(outcomes, "predicted"),
        "**Animals given**, as in the published test:",
        _by_variant(outcomes, "labels"),
        "**Where the animals come from** in the test:",
        _by_source(outcomes),
        "**What is better than what**: the difference in points, and its 95 % interval by a paired "
        "bootstrap over clips and seeds. Better or worse is said where the interval leaves 0 out.",
        _of_claims(differences(outcomes)),
        "**In words:**",
        in_words(differences(outcomes)),
        "**What was expected** before anything was trained:",
        _of_expectations(outcomes),
        f"![Every difference with its interval]({FIGURE})",
    ]
    return "\n\n".join(parts) + "\n"


def _by_variant(outcomes: Outcomes, source: str) -> str:
    rows = [
        [
            BY_NAME[variant].title,
            *(_cell(outcomes, variant, question, source) for question in QUESTIONS),
        ]
        for variant in outcomes.variants()
    ]
    return _markdown(["", *QUESTIONS], rows)


def _by_source(outcomes: Outcomes) -> str:
    rows = [
        [
            BY_NAME[variant].title,
            _WORDS[source],
            *(_cell(outcomes, variant, question, source) for question in QUESTIONS),
        ]
        for variant in _OF_SOURCES
        if variant in outcomes.variants()
        for source in SOURCES
    ]
    return _markdown(["", "animals", *QUESTIONS], rows)


def _cell(outcomes: Outcomes, variant: str, question: str, source: str) -> str:
    rows = outcomes.of.get((variant, question, source))
    if rows is None:
        return "–"
    shares = 100 * rows.mean(axis=1)
    spread = f" ± {shares.std(ddof=1):.1f}" if len(shares) > 1 else ""
    return f"{shares.mean():.1f}{spread}"


def _of_claims(found: list[tuple[Claim, str, Difference]]) -> str:
    rows = [
        [
            claim.text,
            question,
            _points(each),
            each.verdict,
        ]
        for claim, question, each in found
    ]
    return _markdown(["", "clips", "points", ""], rows)


def in_words(found: list[tuple[Claim, str, Difference]]) -> str:
    """A sentence a claim, of its rows."""
    sentences = []
    for text in dict.fromkeys(claim.text for claim, _, _ in found):
        parts = []
        for verdict in ("better", "worse", "no difference shown"):
            of_clips = [
                f"{question} ({each.value:+.1f})"
                for claim, question, each in found
                if claim.text == text and each.verdict == verdict
            ]
            if of_clips:
                parts.append(f"{verdict} on {_listed(of_clips)}")
        sentences.append(f"- {text}: {'; '.join(parts)}.")
    return "\n".join(sentences)


def _listed(parts: list[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _of_expectations(outcomes: Outcomes) -> str:
    rows = []
    for expected in EXPECTED:
        ours, theirs = (
            outcomes.of.get((side.variant, expected.question, side.source))
            for side in (expected.ours, expected.theirs)
        )
        if ours is not None and theirs is not None:
            found = paired_difference(ours, theirs)
            rows.append([expected.text, _points(found), outcome(found, expected.least)])
    return _markdown(["", "points", ""], rows)


def outcome(found: Difference, least: float | None) -> str:
    """Whether an expectation came true.

    Args:
        found: the difference.
        least: that was expected; None: that it is not to be worse.
    """
    if least is None:
        return "no" if found.verdict == "worse" else "no loss shown"
    if found.verdict != "better":
        return "no" if found.verdict == "worse" else "not shown"
    return "yes" if found.value >= least else f"better, by less than {least:.0f} points"


def _points(found: Difference) -> str:
    return f"{found.value:+.1f} ({found.low:+.1f} to {found.high:+.1f})"


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + " --- |" * len(header), *lines[1:]])


def draw(outcomes: Outcomes, path: pathlib.Path) -> None:
    """Draws every claim's differences with their intervals, into an SVG file."""
    import matplotlib

    matplotlib.use("svg")
    # The same figures give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "ablations"
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    import matplotlib.pyplot as plt

    found = differences(outcomes)
    colours = dict(
        zip(QUESTIONS, ("#1b6ca8", "#c1440e", "#2e7d32", "#7a5195", "#8a6d00"), strict=True)
    )
    figure, axes = plt.subplots(figsize=(9, 0.6 + 0.24 * len(found)), layout="constrained")
    heights, labels = [], []
    height, last = 0.0, None
    for claim, question, each in found:
        height += 1.0 if claim is last else 1.8
        if claim is not last:
            labels.append(claim.text)
            heights.append(height)
        last = claim
        axes.plot([each.low, each.high], [height, height], color=colours[question], linewidth=2)
        axes.plot(each.value, height, "o", color=colours[question], markersize=4.5)
    axes.axvline(0, color="#555555", linewidth=0.8)
    axes.set_yticks(heights, labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("difference in top-1, points, with its 95 % interval")
    for question, colour in colours.items():
        if any(asked == question for _, asked, _ in found):
            axes.plot([], [], "o-", color=colour, label=question)
    figure.legend(loc="outside upper center", ncols=len(colours), fontsize=8, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def put_into(path: pathlib.Path, text: str) -> None:
    """Puts the tables into a page, between two comments that mark their place.

    Raises:
        UserError: the page does not have them.
    """
    page = path.read_text(encoding="utf-8")
    before, found, rest = page.partition(_BEGIN)
    _, ended, after = rest.partition(_END)
    if not (found and ended):
        raise UserError(f"{path} has no place for the tables: expected {_BEGIN} and {_END}")
    write_whole(path, f"{before}{_BEGIN}\n\n{text}\n{_END}{after}")
