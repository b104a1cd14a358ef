"""What came of the comparison, as a table, sentences and a figure."""

import pathlib

from benchmarks.models.kinds import KINDS, NUM_FRAMES
from benchmarks.questions import OF_SPLITS, SHUFFLED
from benchmarks.trainings.intervals import Difference, paired_difference
from benchmarks.trainings.many import Kind
from benchmarks.trainings.outcomes import Outcomes, cell, markdown

FIGURE = "images/models.svg"
_SEEN, _NEW = "seen pairs", "unseen animals"
_ASKED = tuple(OF_SPLITS.values())
_PUBLISHED = "animal_clip"


def source_of(kind: Kind) -> str:
    """Where the animals of a model's test come from."""
    return (
        "predicted" if "predicted" in kind.fields.get("evaluation.animal_sources", ()) else "none"
    )


def written(outcomes: Outcomes) -> str:
    """Everything in Markdown."""
    seeds, _ = next(iter(outcomes.of.values())).shape
    kinds = outcomes.trained(KINDS)
    rows = [
        [
            kind.title,
            *(cell(outcomes, kind.name, question, source_of(kind)) for question in _ASKED),
            cell(outcomes, kind.name, _SEEN, source_of(kind) + SHUFFLED),
        ]
        for kind in kinds
    ]
    parts = [
        f"Top-1 in percent, the mean of {seeds} seeds ± their standard deviation; {NUM_FRAMES} "
        "frames a clip. A random guess is right in 6 of 100.",
        markdown(["", *_ASKED, f"{_SEEN}, frames shuffled"], rows),
        "**Which knows time**: what the order of the frames is worth on seen pairs, in points, "
        "with its 95 % interval by a paired bootstrap over clips and seeds.",
        markdown(["", "points", ""], [_row(kind, _of_order(outcomes, kind)) for kind in kinds]),
        "**Which knows new animals**: unseen animals, beside Animal-CLIP as published.",
        markdown(
            ["", "points", ""],
            [
                _row(kind, found)
                for kind in kinds
                if (found := _beside_published(outcomes, kind)) is not None
            ],
        ),
        f"![Accuracy on each question]({FIGURE})",
    ]
    return "\n\n".join(parts) + "\n"


def _of_order(outcomes: Outcomes, kind: Kind) -> Difference:
    in_order, shuffled = (
        outcomes.of[kind.name, _SEEN, source_of(kind) + order] for order in ("", SHUFFLED)
    )
    return paired_difference(in_order, shuffled)


def _beside_published(outcomes: Outcomes, kind: Kind) -> Difference | None:
    published = outcomes.of.get((_PUBLISHED, _NEW, "predicted"))
    if kind.name == _PUBLISHED or published is None:
        return None
    return paired_difference(outcomes.of[kind.name, _NEW, source_of(kind)], published)


def _row(kind: Kind, found: Difference) -> list[str]:
    points = f"{found.value:+.1f} ({found.low:+.1f} to {found.high:+.1f})"
    return [kind.title, points, found.verdict]


def draw(outcomes: Outcomes, path: pathlib.Path) -> None:
    """Draws each model's accuracy on each question, in order and shuffled, into an SVG file."""
    import matplotlib

    matplotlib.use("svg")
    # The same figures give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "models"
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    import matplotlib.pyplot as plt

    kinds = outcomes.trained(KINDS)
    colours = ("#1b6ca8", "#c1440e", "#2e7d32", "#7a5195")
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.5 * len(kinds)), layout="constrained")
    for place, kind in enumerate(kinds):
        axes.axhline(place, color="#e4e4e4", linewidth=6, zorder=0)
        for offset, (question, colour) in enumerate(zip(_ASKED, colours, strict=True)):
            height = place + 0.17 * (offset - 1.5)
            for order, filled in (("", colour), (SHUFFLED, "white")):
                shares = 100 * outcomes.of[kind.name, question, source_of(kind) + order].mean(
                    axis=1
                )
                axes.plot(
                    shares.mean(), height, "o", color=colour, markerfacecolor=filled, markersize=5
                )
    axes.axvline(100 / 16, color="#555555", linewidth=0.8)
    axes.set_yticks(range(len(kinds)), [kind.title for kind in kinds], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("top-1, percent; hollow: the same clips with their frames shuffled")
    for question, colour in zip(_ASKED, colours, strict=True):
        axes.plot([], [], "o", color=colour, label=question)
    axes.plot([], [], color="#555555", linewidth=0.8, label="a random guess")
    figure.legend(loc="outside upper center", ncols=5, fontsize=8, frameon=False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
