"""What was found out, as text for a terminal and as JSON for programs."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from animal_clip_jax.errors import shortened
from animal_clip_jax.tables import format_columns
from data_pipeline.annotations.record import Annotations
from data_pipeline.dataset_files import TRAIN_SPLIT
from data_pipeline.inspection.description import histogram
from data_pipeline.inspection.examination import (
    Examination,
    action_pairs,
    performed_pairs,
    share_of_pairs,
)
from data_pipeline.inspection.finding import Finding, count
from data_pipeline.inspection.label_checks import label_counts
from data_pipeline.inspection.lengths import common_sizes
from data_pipeline.long_tail import SEGMENTS

ROWS_OF_A_FINDING = 5
# Of the JSON: grows when a key changes its meaning or goes.
REPORT_VERSION = 1


def headline(found: Examination) -> str:
    """What there is, in one line."""
    subject, annotations = found.subject, found.subject.annotations
    sizes = Counter(clip.split for clip in annotations.clips)
    of_splits = ", ".join(f"{split} {sizes[split]:,}" for split in subject.splits)
    bouts = sum(clip.start is not None for clip in annotations.clips)
    return (
        f"{subject.dataset}: {count(len(annotations.clips), 'clip')} ({of_splits}), "
        f"{count(len(annotations.action_names), 'action')}, "
        f"{count(len(annotations.animal_names), 'animal')}"
        + (f", {count(bouts, 'bout')}" if bouts else "")
    )


def verdict(found: Examination) -> str:
    """How many problems there are, in one line."""
    problems, notes = len(found.problems), len(found.notes)
    first = f"{count(problems, 'problem') if problems else 'no problem'} found"
    return f"{first}, {count(notes, 'thing')} to know" if notes else first


def findings_as_text(found: Examination, rows: int = ROWS_OF_A_FINDING) -> str:
    """The answer first, then the problems, then what is to be known.

    Args:
        found: the examination.
        rows: of each finding that are listed.
    """
    parts = [f"{headline(found)}\n{verdict(found)}"]
    parts.extend(_finding(finding, "problem", rows) for finding in found.problems)
    parts.extend(_finding(finding, "to know", rows) for finding in found.notes)
    return "\n\n".join(parts)


def as_text(found: Examination, split: str, top: int) -> str:
    """All of it, for data that are not converted.

    Args:
        found: the examination.
        split: whose clips are counted by label.
        top: how many lines a list may have.
    """
    annotations = found.subject.annotations
    sections = [
        findings_as_text(found),
        _videos(found),
        *(_histogram(annotations, kind, split, top) for kind in ("action", "animal")),
        _long_tail(found),
        _pairs(found, top),
    ]
    return "\n\n".join(section for section in sections if section)


def _finding(finding: Finding, word: str, most: int) -> str:
    lines = [f"{word}: {finding.summary}"]
    if finding.rows:
        cells = [[shortened(value) for value in row.values()] for row in finding.rows[:most]]
        header = list(finding.rows[0])
        table = format_columns([header, *cells] if len(header) > 1 else cells, labels=len(header))
        lines.extend(f"  {line}" for line in table.splitlines())
    rest = len(finding.rows) - most
    if rest > 0:
        lines.append(f"  and {rest:,} more")
    return "\n".join(lines)


def _videos(found: Examination) -> str:
    if not found.num_videos:
        return "videos: none was found"
    looked = (
        "all of them opened"
        if found.num_looked_at == found.num_videos
        else f"{found.num_looked_at:,} of them opened, spread evenly; --all opens all"
    )
    lines = [f"videos: {found.num_videos:,}, {looked}"]
    seconds = [length.seconds for length in found.lengths if length.seconds is not None]
    if seconds:
        lines.append(
            f"  clips are {np.median(seconds):.1f} s long (median; {min(seconds):.1f} to "
            f"{max(seconds):.1f})"
        )
    frames = [length.num_frames for length in found.lengths if length.num_frames]
    if frames:
        lines.append(f"  frames a clip: {min(frames)} to {max(frames)}")
    sizes = common_sizes(found.lengths).most_common(3)
    if sizes:
        lines.append("  sizes: " + ", ".join(f"{size} ({n})" for size, n in sizes))
    if found.copies is not None:
        lines.append(
            f"  compared by content: {found.copies.num_compared:,} of {found.copies.num_files:,} "
            "files, those of equal size"
        )
    return "\n".join(lines)


def _histogram(annotations: Annotations, kind: str, split: str, top: int) -> str:
    names = annotations.action_names if kind == "action" else annotations.animal_names
    counts = label_counts(annotations.clips, kind)
    return histogram(
        f"{kind}s in {split!r}", names, np.array([counts[split, name] for name in names]), top
    )


def _long_tail(found: Examination) -> str:
    of_segment = Counter(found.segments)
    parts = ", ".join(f"{segment} {of_segment[segment]}" for segment in SEGMENTS)
    return f"long tail of the actions ({found.segments_source}): {parts}"


def _pairs(found: Examination, top: int) -> str:
    there, possible = share_of_pairs(found.subject)
    sections = []
    together = action_pairs(found.subject.annotations.clips)
    if together:
        lines = [f"  {n:>6} {' + '.join(pair)}" for pair, n in together.most_common(top)]
        sections.append("\n".join([f"actions in the same clip ({len(together)} pairs):", *lines]))
    if there:
        sections.append(
            f"who does what in {TRAIN_SPLIT!r}: {there:,} of {possible:,} pairs of animal and "
            "action occur"
        )
    return "\n\n".join(sections)


def as_json(found: Examination) -> dict[str, object]:
    """All that was found out, with nothing left out; docs/inspect.md says what the keys mean."""
    subject, annotations = found.subject, found.subject.annotations
    clips = annotations.clips
    sizes = Counter(clip.split for clip in clips)
    pairs = performed_pairs(clips)
    trained = performed_pairs([clip for clip in clips if clip.split == TRAIN_SPLIT])
    there, possible = share_of_pairs(subject)
    return {
        "report_version": REPORT_VERSION,
        "source": subject.source,
        "dataset": subject.dataset,
        "converted": subject.is_converted,
        "clips": len(clips),
        "clips_of_split": {split: sizes[split] for split in subject.splits},
        "bouts": sum(clip.start is not None for clip in clips),
        "problems": len(found.problems),
        "findings": [
            {
                "kind": finding.kind,
                "is_problem": finding.is_problem,
                "summary": finding.summary,
                "rows": [dict(row) for row in finding.rows],
            }
            for finding in found.findings
        ],
        "actions": _labels(annotations.action_names, subject.splits, clips, "action"),
        "animals": _labels(annotations.animal_names, subject.splits, clips, "animal"),
        "long_tail": {
            "source": found.segments_source,
            "segment_of_action": dict(zip(annotations.action_names, found.segments, strict=True)),
        },
        "actions_together": [
            {"actions": list(pair), "clips": n} for pair, n in action_pairs(clips).most_common()
        ],
        "animals_and_actions": [
            {"animal": pair[0], "action": pair[1], "clips": n, "training_clips": trained[pair]}
            for pair, n in pairs.most_common()
        ],
        "pairs_in_training": {"occur": there, "possible": possible},
        "videos": {
            "all": found.num_videos,
            "opened": found.num_looked_at,
            "files_compared_by_content": found.copies.num_compared if found.copies else None,
            "sizes": dict(common_sizes(found.lengths).most_common()),
            "clips": [
                {
                    "clip": length.name,
                    "seconds": length.seconds,
                    "frames": length.num_frames,
                    "height": length.height,
                    "width": length.width,
                }
                for length in found.lengths
            ],
        },
    }


def _labels(
    names: Sequence[str], splits: Sequence[str], clips: Sequence, kind: str
) -> list[dict[str, object]]:
    counts = label_counts(clips, kind)
    return [
        {"name": name, "clips": {split: counts[split, name] for split in splits}} for name in names
    ]
