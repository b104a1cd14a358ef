"""Everything that is known of a data set before a training, gathered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from data_pipeline.annotations.record import Clip
from data_pipeline.dataset_files import TRAIN_SPLIT
from data_pipeline.inspection.file_checks import (
    Copies,
    Files,
    check_conversion,
    check_files,
    find_copies,
    find_files,
)
from data_pipeline.inspection.finding import Finding
from data_pipeline.inspection.label_checks import check_labels, label_counts
from data_pipeline.inspection.lengths import (
    SAMPLE,
    check_glimpses,
    check_lengths,
    clip_lengths,
    look_at_videos,
)
from data_pipeline.inspection.subject import Length, Subject
from data_pipeline.long_tail import HEAD_CLIPS, TAIL_CLIPS, segments


@dataclass(frozen=True)
class Examination:
    """What was found out.

    Attributes:
        subject: what was looked through.
        findings: problems first, then what is to be known.
        segments: "head", "middle" or "tail" of each action, (C).
        segments_source: who says so.
        lengths: of the clips that were looked at.
        num_videos: how many videos the clips have.
        num_looked_at: how many of them were opened.
        copies: files of the same content; None where they were not compared.
        frames: JPEG files of frames of some clips, by clip id.
    """

    subject: Subject
    findings: tuple[Finding, ...]
    segments: tuple[str, ...]
    segments_source: str
    lengths: tuple[Length, ...]
    num_videos: int
    num_looked_at: int
    copies: Copies | None
    frames: dict[str, tuple[bytes, ...]]

    @property
    def problems(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.is_problem)

    @property
    def notes(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.is_problem)


def examine(
    subject: Subject,
    *,
    shown_clips: Sequence[Clip] = (),
    all_videos: bool = False,
    head: int = HEAD_CLIPS,
    tail: int = TAIL_CLIPS,
) -> Examination:
    """Looks through a data set: at its annotations, and before a conversion at its videos.

    Args:
        subject: the data set.
        shown_clips: clips that pictures are wanted of; before a conversion.
        all_videos: whether every video is opened, not `SAMPLE` of them; before a conversion.
        head: an action with at least so many training clips is of the head, unless the data say
            so themselves.
        tail: one with fewer is of the tail.

    Raises:
        UserError: a file cannot be read, or `head` is below `tail`.
    """
    annotations = subject.annotations
    of_action, source = _segments(subject, head, tail)
    findings = check_labels(subject)
    if subject.is_converted:
        lengths, looked_at, copies, frames = subject.lengths, len(subject.lengths), None, {}
        num_videos = len({clip.path for clip in annotations.clips})
        findings += check_conversion(subject)
    else:
        files = find_files(annotations)
        copies = _copies(files, annotations.are_frames)
        glimpses = look_at_videos(
            annotations.clips,
            files,
            shown_clips,
            most=None if all_videos else SAMPLE,
        )
        findings += check_files(subject, files, copies)
        findings += check_glimpses(subject, files, glimpses)
        lengths = clip_lengths(annotations.clips, files, glimpses)
        num_videos, frames = glimpses.num_videos, glimpses.frames
        looked_at = len(glimpses.lengths) + len(glimpses.unreadable)
    findings += check_lengths(lengths)
    return Examination(
        subject=subject,
        findings=tuple(sorted(findings, key=lambda finding: not finding.is_problem)),
        segments=of_action,
        segments_source=source,
        lengths=lengths,
        num_videos=num_videos,
        num_looked_at=looked_at,
        copies=copies,
        frames=frames,
    )


def _copies(files: Files, are_frames: bool) -> Copies | None:
    return None if are_frames else find_copies(tuple(files.found.values()))


def _segments(subject: Subject, head: int, tail: int) -> tuple[tuple[str, ...], str]:
    annotations = subject.annotations
    if annotations.action_segments:
        return annotations.action_segments, annotations.segments_source
    counts = label_counts(annotations.clips, "action")
    of_training = [counts[TRAIN_SPLIT, name] for name in annotations.action_names]
    source = f"training clips: head from {head} on, tail below {tail}"
    return tuple(map(str, segments(of_training, head, tail))), source


def action_pairs(clips: Sequence[Clip]) -> Counter[tuple[str, str]]:
    """In how many clips two actions are together; the names of a pair in alphabetical order."""
    return Counter(pair for clip in clips for pair in combinations(sorted(clip.actions), 2))


def performed_pairs(clips: Sequence[Clip]) -> Counter[tuple[str, str]]:
    """In how many clips an animal performs an action."""
    return Counter(pair for clip in clips for pair in clip.performed)


def spread_over_actions(actions: Sequence[Sequence[str] | Sequence[int]], most: int) -> list[int]:
    """Places of clips: the first of every action, then the second of every action, and so on.

    Args:
        actions: names or ids of the actions of each clip; its first one counts.
        most: how many places.
    """
    seen: Counter[str | int] = Counter()
    turns = []
    for place, names in enumerate(actions):
        turns.append((seen[names[0]], names[0], place))
        seen[names[0]] += 1
    return [place for _, _, place in sorted(turns)[:most]]


def share_of_pairs(subject: Subject) -> tuple[int, int]:
    """How many of all pairs of an animal and an action occur in training."""
    return int(np.count_nonzero(subject.training_pairs)), int(subject.training_pairs.size)
