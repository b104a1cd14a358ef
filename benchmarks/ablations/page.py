"""What came of the trainings, as tables, sentences and a figure."""

import pathlib

from benchmarks.ablations.claims import CLAIMS, EXPECTED, Claim
from benchmarks.ablations.variants import SOURCES, VARIANTS
from benchmarks.questions import QUESTIONS
from benchmarks.trainings.intervals import Difference, paired_difference
from benchmarks.trainings.outcomes import Outcomes, cell, markdown

FIGURE = "images/ablations.svg"
_WORDS = {
    "labels": "given",
    "predicted": "recognised, zero-shot",
    "learned": "recognised, linear probe",
    "none": "not given",
}
# The variants whose sources are compared.
_OF_SOURCES = ("published", "dropout", "from-video", "mended", "recommended")


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
    found = differences(outcomes)
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
        _of_claims(found),
        "**In words:**",
        in_words(found),
        "**What was expected** before anything was trained:",
        _of_expectations(outcomes),
        f"![Every difference with its interval]({FIGURE})",
    ]
    return "\n\n".join(parts) + "\n"


def _by_variant(outcomes: Outcomes, source: str) -> str:
    rows = [
        [kind.title, *(cell(outcomes, kind.name, question, source) for question in QUESTIONS)]
        for kind in outcomes.trained(VARIANTS)
    ]
    return markdown(["", *QUESTIONS], rows)


def _by_source(outcomes: Outcomes) -> str:
    rows = [
        [
            kind.title,
            _WORDS[source],
            *(cell(outcomes, kind.name, question, source) for question in QUESTIONS),
        ]
        for kind in outcomes.trained(VARIANTS)
        if kind.name in _OF_SOURCES
        for source in SOURCES
    ]
    return markdown(["", "animals", *QUESTIONS], rows)


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
    return markdown(["", "clips", "points", ""], rows)


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
    return markdown(["", "points", ""], rows)


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
