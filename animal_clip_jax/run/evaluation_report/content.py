"""What the report of an evaluation says, as texts and numbers for its template.

Everything in detail is of one part of the evaluation, `Evaluated.part`: the first source of the
animals, with the frames in order.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from animal_clip_jax.evaluation import calibration
from animal_clip_jax.evaluation.mistakes import confusion_counts
from animal_clip_jax.evaluation.projection import nearest_neighbours, principal_components
from animal_clip_jax.models.animal_sources import IN_WORDS
from animal_clip_jax.pages.plain_text import plain
from animal_clip_jax.pages.rendering import data_url
from animal_clip_jax.run.evaluation_report import charts
from animal_clip_jax.run.evaluation_report.evaluated import Evaluated
from animal_clip_jax.run.figure_text import interval, number_of_clips, percent
from animal_clip_jax.run.group_results import group_rows
from data_pipeline.long_tail import SEGMENTS

# So many classes of a matrix are shown, and so many points of a scatter, which grows with them.
MOST_IN_MATRIX = 30
MOST_POINTS = 2000
_MOST_CONFUSIONS = 20


def per_class(evaluated: Evaluated) -> dict[str, Any]:
    """The classes from the most frequent in training to the rarest, with a chart."""
    metric = "average_precision" if evaluated.multi_label else "accuracy"
    what = "average precision" if evaluated.multi_label else "accuracy"
    parts = [part for part in evaluated.result.by_source if not part.is_shuffled]
    training_clips = np.asarray(evaluated.known.action_clips)
    order = np.argsort(-training_clips, kind="stable").tolist()
    first = [parts[0].per_class[k] for k in order]
    rows = [
        [
            evaluated.actions[k],
            *(_figure(part.per_class[k][metric]) for part in parts),
            parts[0].per_class[k]["segment"],
            training_clips[k],
            parts[0].per_class[k]["test_clips"],
        ]
        for k in order
    ]
    chart = charts.per_class_bars(
        [evaluated.actions[k] for k in order],
        [row[metric] for row in first],
        [str(row["segment"]) for row in first],
        what,
    )
    return {
        "what": what,
        "header": [
            "action",
            *(_of_animals(part.source, what, len(parts)) for part in parts),
            "segment",
            "training clips",
            "test clips",
        ],
        "rows": rows,
        "chart": _svg(chart),
    }


def segments(evaluated: Evaluated) -> dict[str, Any]:
    """Head, middle and tail: classes, clips, and the figure of each source of the animals."""
    name = "mAP" if evaluated.multi_label else "top1"
    parts = [part for part in evaluated.result.by_source if not part.is_shuffled]
    of_class = evaluated.known.segments()
    targets = evaluated.targets
    rows = []
    for segment in SEGMENTS:
        inside = of_class == segment
        if not inside.any():
            continue
        clips = int(targets[:, inside].any(axis=1).sum())
        cells = []
        for part in parts:
            figure = f"{name}_{segment}"
            if figure not in part.figures:
                cells.append("")
                continue
            bounds = interval(part.figures, figure, clips, multi_label=evaluated.multi_label)
            cells.append(percent(part.figures[figure], clips, bounds))
        training = int(np.asarray(evaluated.known.action_clips)[inside].sum())
        rows.append([segment, *cells, int(inside.sum()), training, clips])
    what = "mAP in %" if evaluated.multi_label else "top-1 in %"
    return {
        "header": [
            "segment",
            *(_of_animals(part.source, what, len(parts)) for part in parts),
            "actions",
            "training labels",
            "test clips",
        ],
        "rows": rows,
    }


def groups(evaluated: Evaluated) -> dict[str, Any]:
    """The figure of each group of clips, such as birds; no rows if no clip has a group."""
    rows = group_rows(evaluated.part.figures, multi_label=evaluated.multi_label)
    name = "mean_average_precision" if evaluated.multi_label else "accuracy"
    cells = []
    for row in rows:
        bounds = None if row["low"] is None else (row["low"], row["high"])
        cells.append(
            [
                plain(str(row["group"])),
                row["clips"],
                percent(row[name], row["clips"], bounds),
            ]
        )
    what = "mAP in %" if evaluated.multi_label else "top-1 in %"
    return {"header": ["group", "clips", what], "rows": cells}


def confusions(evaluated: Evaluated) -> dict[str, Any]:
    """The matrix of annotated and predicted actions, and the most frequent confusions in words."""
    targets = evaluated.targets
    counts = confusion_counts(evaluated.part.probabilities, targets)
    totals = targets.sum(axis=0)
    there = np.flatnonzero((totals > 0) | (counts.sum(axis=0) > 0))
    shown = there[np.argsort(-totals[there], kind="stable")][:MOST_IN_MATRIX]
    names = [evaluated.actions[k] for k in shown]
    matrix = counts[np.ix_(shown, shown)]
    off = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    order = np.argsort(-off, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    pairs = [divmod(int(place), len(counts)) for place in order]
    return {
        "names": names,
        "counts": matrix.tolist(),
        "left_out": len(there) - len(shown),
        "chart": _svg(charts.confusion(matrix, totals[shown], names)),
        "pairs": [
            [
                evaluated.actions[row],
                evaluated.actions[column],
                f"{counts[row, column]} of {number_of_clips(totals[row])}",
            ]
            for row, column in pairs
            if off[row, column]
        ],
    }


def projection(evaluated: Evaluated) -> dict[str, Any]:
    """The clips' features along their two principal components, by action and by animal."""
    features = evaluated.result.features
    assert features is not None
    found = principal_components(features)
    random = np.random.default_rng(0)
    rows = np.arange(len(features))
    if len(rows) > MOST_POINTS:
        rows = np.sort(random.choice(rows, MOST_POINTS, replace=False))
    points = found.points[rows]
    if points.shape[1] < 2:
        points = np.column_stack([points, np.zeros(len(points))])
    pictures, alike = [], []
    for what, labels, names in (
        ("action", evaluated.clips.index.actions, evaluated.actions),
        ("animal", evaluated.clips.index.animals, evaluated.animals),
    ):
        of_rows = [labels[row] for row in rows]
        groups, shown = _most_frequent(of_rows, names)
        chart = charts.scatter(points, shown, groups, "principal component")
        pictures.append({"what": what, "chart": _svg(chart), "shown": shown})
        if len(rows) > 1 and any(of_rows):
            alike.append(f"{what} {_alike(features[rows], of_rows)}")
    return {
        "pictures": pictures,
        "shares": [f"{100 * share:.0f} %" for share in found.shares],
        "alike": " and ".join(alike),
        "num_points": len(rows),
        "num_clips": len(features),
    }


def _most_frequent(
    labels: Sequence[Sequence[int]], names: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """The group of each clip by its first label, for the most frequent ones, and their names."""
    first = np.array([of_clip[0] if len(of_clip) else -1 for of_clip in labels])
    counts = np.bincount(first[first >= 0], minlength=len(names))
    order = [
        k for k in np.argsort(-counts, kind="stable")[: len(charts.GROUP_COLOURS)] if counts[k]
    ]
    groups = np.full(len(first), -1)
    for number, label in enumerate(order):
        groups[first == label] = number
    return groups, [names[k] for k in order]


def _alike(features: np.ndarray, labels: Sequence[Sequence[int]]) -> str:
    """How many clips share a label with their nearest neighbour."""
    nearest = nearest_neighbours(features)
    share = np.mean([bool(set(labels[k]) & set(labels[n])) for k, n in enumerate(nearest)])
    return f"in {100 * share:.0f} %"


def reliability(evaluated: Evaluated) -> dict[str, Any]:
    """How far the probabilities can be believed."""
    answers, is_right = calibration.answers(
        evaluated.part.probabilities.clip(0, 1), evaluated.targets, evaluated.outputs
    )
    curve = calibration.reliability(answers, is_right)
    return {
        "error": f"{calibration.expected_calibration_error(curve):.3f}",
        "chart": _svg(charts.reliability_curve(curve)),
        "rows": [
            [f"{count:,}", f"{100 * confidence:.1f}", f"{100 * accuracy:.1f}"]
            for count, confidence, accuracy in zip(*curve, strict=True)
        ],
        "is_each_action": evaluated.outputs == "sigmoid",
    }


def all_figures(evaluated: Evaluated) -> dict[str, Any]:
    """Every figure of `metrics.json`, under its name there."""
    figures = evaluated.result.figures()
    return {
        "header": ["name", "value"],
        "rows": [[plain(name), _figure(value)] for name, value in figures.items()],
    }


def _of_animals(source: str, what: str, sources: int) -> str:
    return f"{what}, animals {IN_WORDS[source]}" if sources > 1 else what


def _figure(value: object) -> str:
    """A figure with the digits of the tables; a count as it is."""
    if value is None:
        return "no clips"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _svg(content: bytes) -> str:
    return data_url("image/svg+xml", content)
