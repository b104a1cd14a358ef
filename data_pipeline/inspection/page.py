"""What was found out, as one page that needs nothing else: no network, no script, no font."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from animal_clip_jax.errors import shortened
from animal_clip_jax.pages.colours import colour
from animal_clip_jax.pages.rendering import data_url
from animal_clip_jax.pages.rendering import page as rendered
from data_pipeline.inspection import charts
from data_pipeline.inspection.contact_sheet import ShownClip, thumbnail
from data_pipeline.inspection.examination import (
    Examination,
    action_pairs,
    performed_pairs,
    share_of_pairs,
)
from data_pipeline.inspection.finding import Finding
from data_pipeline.inspection.label_checks import KINDS, label_counts
from data_pipeline.inspection.lengths import common_sizes
from data_pipeline.inspection.report import headline, verdict
from data_pipeline.long_tail import SEGMENTS

# Of a finding; the JSON has all.
MOST_ROWS = 100
# Of a matrix: more would be too small to read and too large to scroll.
MOST_ACTIONS, MOST_ANIMALS = 150, 100
# Of the pairs of a matrix, in the table below it.
_MOST_PAIRS = 20

_SECTIONS = {
    "findings": "Findings",
    "actions": "Actions",
    "animals": "Animals",
    "lengths": "Lengths and sizes",
    "together": "Actions together",
    "who": "Who does what",
    "clips": "Clips",
}


def page(found: Examination, clips: Sequence[ShownClip] = ()) -> str:
    """A whole HTML document.

    Args:
        found: what was found out.
        clips: that are shown with frames of them.
    """
    return rendered(
        "data_pipeline.inspection",
        "inspection.html",
        sections=_SECTIONS,
        dataset=found.subject.dataset,
        name=os.path.basename(found.subject.source.rstrip("/")),
        source=found.subject.source,
        headline=headline(found),
        verdict=verdict(found),
        has_problems=bool(found.problems),
        findings=[_finding(finding) for finding in found.findings],
        labels=[_labels(found, kind) for kind in KINDS],
        lengths=_lengths(found),
        together=_together(found),
        who=_who_does_what(found),
        clips=[_clip(clip) for clip in clips],
    )


def _finding(finding: Finding) -> dict[str, Any]:
    rows = [[shortened(row[key]) for key in row] for row in finding.rows[:MOST_ROWS]]
    return {
        "is_problem": finding.is_problem,
        "summary": finding.summary,
        "header": list(finding.rows[0]) if rows else [],
        "rows": rows,
        "rest": len(finding.rows) - len(rows),
    }


def _labels(found: Examination, kind: str) -> dict[str, Any]:
    """All classes of a kind, the most frequent first, with a bar in the colours of the splits."""
    annotations, splits = found.subject.annotations, found.subject.splits
    is_action = kind == "action"
    names = annotations.action_names if is_action else annotations.animal_names
    if not names:
        return {"kind": kind, "rows": []}
    counts = label_counts(annotations.clips, kind)
    totals = {name: sum(counts[split, name] for split in splits) for name in names}
    most = max(max(totals.values()), 1)
    segments = dict(zip(names, found.segments, strict=True)) if is_action else {}
    of_segment = Counter(found.segments)
    by_split = [[counts[split, name] for name in names] for split in splits]
    return {
        "kind": kind,
        "long_tail": f"Long tail ({found.segments_source}): "
        + ", ".join(f"{segment} {of_segment[segment]}" for segment in SEGMENTS),
        "has_segments": is_action,
        "chart": data_url("image/svg+xml", charts.ranks(by_split, splits, f"{kind}s")),
        "alternative": f"Clips of each of {len(names)} {kind}s by rank; the table below has them.",
        "splits": [(split, colour(number)) for number, split in enumerate(splits)],
        "rows": [
            {
                "name": name,
                "segment": segments.get(name, ""),
                "counts": [counts[split, name] for split in splits],
                "bars": [
                    (100 * counts[split, name] / most, colour(number))
                    for number, split in enumerate(splits)
                    if counts[split, name]
                ],
            }
            for name in sorted(names, key=lambda name: -totals[name])
        ],
    }


def _lengths(found: Examination) -> dict[str, Any]:
    seconds = [length.seconds for length in found.lengths if length.seconds is not None]
    frames = [length.num_frames for length in found.lengths if length.num_frames]
    shown = []
    for values, label in ((seconds, "seconds"), (frames, "frames")):
        if values:
            middle = float(np.median(values))
            alternative = (
                f"Histogram of the {label} of {len(values)} clips: from {min(values):.4g} to "
                f"{max(values):.4g}, median {middle:.4g}."
            )
            drawn = charts.distribution(values, f"{label} of a clip")
            shown.append((data_url("image/svg+xml", drawn), alternative))
    return {
        "num_videos": found.num_videos,
        "num_looked_at": found.num_looked_at,
        "charts": shown,
        "sizes": [[size, f"{n:,}"] for size, n in common_sizes(found.lengths).most_common(20)],
    }


def _together(found: Examination) -> dict[str, Any] | None:
    clips = found.subject.annotations.clips
    pairs = action_pairs(clips)
    if not pairs:
        return None
    totals = Counter(name for clip in clips for name in clip.actions)
    names = [name for name, _ in totals.most_common(MOST_ACTIONS)]
    places = {name: place for place, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for (first, second), n in pairs.items():
        if first in places and second in places:
            counts[places[first], places[second]] = counts[places[second], places[first]] = n
    return {
        "limits": _limited("actions", len(names), len(totals)),
        "matrix": data_url("image/svg+xml", charts.matrix(counts, names, names)),
        "pairs": [[" + ".join(pair), f"{n:,}"] for pair, n in pairs.most_common(_MOST_PAIRS)],
    }


def _who_does_what(found: Examination) -> dict[str, Any] | None:
    there, possible = share_of_pairs(found.subject)
    pairs = performed_pairs(found.subject.annotations.clips)
    if not pairs:
        return None
    of_animal = Counter[str]()
    of_action = Counter[str]()
    for (animal, action), n in pairs.items():
        of_animal[animal] += n
        of_action[action] += n
    animals = [name for name, _ in of_animal.most_common(MOST_ANIMALS)]
    actions = [name for name, _ in of_action.most_common(MOST_ACTIONS)]
    rows = {name: place for place, name in enumerate(animals)}
    columns = {name: place for place, name in enumerate(actions)}
    counts = np.zeros((len(animals), len(actions)), np.int64)
    for (animal, action), n in pairs.items():
        if animal in rows and action in columns:
            counts[rows[animal], columns[action]] = n
    limits = (
        _limited("animals", len(animals), len(of_animal)),
        _limited("actions", len(actions), len(of_action)),
    )
    return {
        "share": f"Training has {there:,} of {possible:,} possible pairs of animal and action.",
        "limits": " ".join(limits),
        "matrix": data_url("image/svg+xml", charts.matrix(counts, animals, actions)),
        "pairs": [[*pair, f"{n:,}"] for pair, n in pairs.most_common(_MOST_PAIRS)],
    }


def _limited(what: str, shown: int, there: int) -> str:
    if shown == there:
        return f"All {there:,} {what}."
    return f"The {shown} most frequent of {there:,} {what}; --json writes all."


def _clip(clip: ShownClip) -> dict[str, Any]:
    return {
        "clip_id": clip.clip_id,
        "split": clip.split,
        "actions": ", ".join(clip.actions),
        "animals": ", ".join(clip.animals) or "no animal",
        "frames": [data_url("image/jpeg", thumbnail(frame)) for frame in clip.frames],
    }
