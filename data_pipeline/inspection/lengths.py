"""How long the videos of a data set are that is not converted, and pictures of some clips."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from animal_clip_jax.errors import shortened
from data_pipeline.annotations.record import Clip
from data_pipeline.conversion.encode import Failure, Footage, encode_in_order
from data_pipeline.inspection.file_checks import Files
from data_pipeline.inspection.finding import Finding, Row, count, note, problem
from data_pipeline.inspection.glimpse import Part, glimpse
from data_pipeline.inspection.label_checks import FEW_FRAMES
from data_pipeline.inspection.subject import Length, Subject
from data_pipeline.limits import shown

# Videos that are opened unless all are asked for.
SAMPLE = 200
FRAMES_PER_CLIP = 3
SHORT_SIDE = 108
# A file and a person who notes times may differ by so much.
SLACK_SECONDS = 0.5


@dataclass(frozen=True)
class Glimpses:
    """What a look at some videos has shown.

    Attributes:
        num_videos: how many there are.
        lengths: of those looked at, by path.
        unreadable: why others that were looked at are no videos.
        frames: JPEG files of `FRAMES_PER_CLIP` frames of some clips, by clip id.
    """

    num_videos: int
    lengths: dict[Path, Length]
    unreadable: dict[Path, str]
    frames: dict[str, tuple[bytes, ...]]


def look_at_videos(
    clips: Sequence[Clip],
    files: Files,
    shown_clips: Sequence[Clip],
    *,
    most: int | None = SAMPLE,
    workers: int | None = None,
) -> Glimpses:
    """Opens videos in processes of their own, since one of them may kill its process.

    Args:
        clips: all clips.
        files: where their videos are.
        shown_clips: those that pictures are wanted of.
        most: videos that are opened, spread evenly over all, beside those of `shown_clips`; None
            opens all.
        workers: number of processes; None takes one for each core.
    """
    paths = list(dict.fromkeys(files.found[c.clip_id] for c in clips if c.clip_id in files.found))
    parts: defaultdict[Path, list[Part]] = defaultdict(list)
    pictured: defaultdict[Path, list[Clip]] = defaultdict(list)
    for clip in shown_clips:
        if clip.clip_id in files.found:
            path = files.found[clip.clip_id]
            parts[path].append((clip.start, clip.stop))
            pictured[path].append(clip)
    chosen = paths
    if most is not None and len(paths) > most:
        places = np.linspace(0, len(paths) - 1, most).round().astype(int)
        chosen = list(dict.fromkeys([*(paths[k] for k in places), *parts]))
    lengths: dict[Path, Length] = {}
    unreadable: dict[Path, str] = {}
    frames: dict[str, tuple[bytes, ...]] = {}
    look = partial(glimpse, parts=dict(parts))
    with closing(
        encode_in_order(
            [Footage(path) for path in chosen],
            short_side=SHORT_SIDE,
            max_frames=FRAMES_PER_CLIP,
            workers=max(1, min(workers or os.cpu_count() or 1, len(chosen))),
            encode=look,
        )
    ) as results:
        for path, result in zip(chosen, results, strict=True):
            if isinstance(result, Failure):
                unreadable[path] = result.reason
                continue
            facts = result.facts
            rate = facts.frame_rate
            seconds = facts.num_frames / rate if rate and facts.num_frames else None
            lengths[path] = Length(
                shown(path), seconds, facts.num_frames, facts.height, facts.width
            )
            for number, clip in enumerate(pictured[path]):
                start = number * FRAMES_PER_CLIP
                of_clip = result.frames[start : start + FRAMES_PER_CLIP]
                frames[clip.clip_id] = tuple(frame for frame in of_clip if frame)
    return Glimpses(len(paths), lengths, unreadable, frames)


def clip_lengths(clips: Sequence[Clip], files: Files, glimpses: Glimpses) -> tuple[Length, ...]:
    """The lengths of the clips whose video was looked at, and of all bouts.

    A bout is as long as its annotation says, and its frames are those of that time.
    """
    lengths = []
    for clip in clips:
        of_video = glimpses.lengths.get(files.found.get(clip.clip_id, Path()))
        if of_video is None:
            continue
        seconds, num_frames = of_video.seconds, of_video.num_frames
        if clip.start is not None and clip.stop is not None:
            rate = num_frames / seconds if seconds else 0.0
            seconds = clip.stop - clip.start
            num_frames = round(seconds * rate)
        lengths.append(Length(clip.clip_id, seconds, num_frames, of_video.height, of_video.width))
    return tuple(lengths)


def check_glimpses(subject: Subject, files: Files, glimpses: Glimpses) -> list[Finding]:
    """Videos that cannot be read, and bouts that end after their recording does."""
    found = []
    if glimpses.unreadable:
        looked = len(glimpses.unreadable) + len(glimpses.lengths)
        summary = f"{len(glimpses.unreadable)} of {count(looked, 'video')} opened cannot be read"
        rows: list[Row] = [
            {"video": shown(path), "why": shortened(reason)}
            for path, reason in glimpses.unreadable.items()
        ]
        found.append(problem("unreadable_videos", summary, rows))
    late: list[Row] = []
    for clip in subject.annotations.clips:
        length = glimpses.lengths.get(files.found.get(clip.clip_id, Path()))
        if clip.stop is None or length is None or length.seconds is None:
            continue
        if clip.stop > length.seconds + SLACK_SECONDS:
            late.append(
                {
                    "clip": clip.clip_id,
                    "stops at": f"{clip.stop:g} s",
                    "recording ends at": f"{length.seconds:.1f} s",
                    "annotated in": clip.source,
                }
            )
    if late:
        summary = f"{count(len(late), 'bout')} that end after their recording"
        found.append(problem("bouts_after_the_end", summary, late))
    return found


def check_lengths(lengths: Sequence[Length]) -> list[Finding]:
    """Clips of few frames: a model would see some of them several times."""
    short = [length for length in lengths if 0 < length.num_frames < FEW_FRAMES]
    if not short:
        return []
    rows: list[Row] = [{"clip": length.name, "frames": length.num_frames} for length in short]
    summary = f"{len(short):,} of {count(len(lengths), 'clip')} looked at have fewer than "
    return [note("clips_of_few_frames", f"{summary}{FEW_FRAMES} frames", rows)]


def common_sizes(lengths: Sequence[Length]) -> Counter[str]:
    """Clips by the size of their picture, such as "640x360"."""
    return Counter(f"{length.width}x{length.height}" for length in lengths)
