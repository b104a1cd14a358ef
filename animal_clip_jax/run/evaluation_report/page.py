"""The page of an evaluation."""

from typing import Any

from animal_clip_jax.models.animal_sources import IN_WORDS
from animal_clip_jax.pages.plain_text import plain
from animal_clip_jax.pages.rendering import page
from animal_clip_jax.run import results
from animal_clip_jax.run.evaluation_report import content
from animal_clip_jax.run.evaluation_report.evaluated import Evaluated
from animal_clip_jax.run.evaluation_report.shown_mistakes import mistakes
from animal_clip_jax.version import VERSION

_ROOM = "animal_clip_jax.run.evaluation_report"


def evaluation_page(evaluated: Evaluated) -> str:
    """The whole page, an HTML document that needs nothing else.

    Raises:
        DatasetError: a record of the data is damaged.
    """
    source, part = evaluated.source, evaluated.part
    subject = results.title(source, part.figures["clips"]).splitlines()
    return page(
        _ROOM,
        "evaluation.html",
        title=plain(f"{source['data']}, {source['clip_set']}"),
        subject=[plain(line) for line in subject],
        multi_label=evaluated.multi_label,
        headline=_headline(evaluated),
        groups=content.groups(evaluated),
        segments=content.segments(evaluated),
        per_class=content.per_class(evaluated),
        confusions=content.confusions(evaluated),
        mistakes=mistakes(evaluated),
        projection=content.projection(evaluated),
        reliability=content.reliability(evaluated),
        figures=content.all_figures(evaluated),
        animals=IN_WORDS[part.source],
        has_several_parts=len(evaluated.result.by_source) > 1,
        version=VERSION,
    )


def _headline(evaluated: Evaluated) -> dict[str, Any]:
    """The table that a person looks at, and its first column in large."""
    source, multi_label = evaluated.source, evaluated.multi_label
    (head, clips), rows = results.headline_cells(
        source, evaluated.result.figures(), multi_label=multi_label
    )
    labels = 2 if source["shuffle_frames"] else 1
    in_order = [row for row in rows if labels == 1 or row[1] == "in order"]
    large = []
    for row in in_order:
        if row[0] == "chance":
            continue
        value, _, bounds = row[labels].partition(" ")
        large.append((value, bounds, f"animals {row[0]}"))
    return {
        "what": "Mean average precision" if multi_label else "Top-1 accuracy",
        "large": large,
        "head": [f"{name}, {of}" if of else name for name, of in zip(head, clips, strict=True)],
        "rows": rows,
        "labels": labels,
        "has_intervals": any(bounds for _, bounds, _ in large),
        "notes": "" if multi_label else results.NOVELTY_IN_WORDS,
        "segments": plain(results.segments_in_words(source)),
    }
