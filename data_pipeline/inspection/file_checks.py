"""Checks of the files of a data set that is not converted: which are there, and which are twice."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from animal_clip_jax.errors import shortened
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.conversion.find_videos import find_videos
from data_pipeline.inspection.finding import Finding, Row, count, note, problem
from data_pipeline.inspection.subject import Subject
from data_pipeline.limits import shown
from data_pipeline.video_files import leading_out_of


@dataclass(frozen=True)
class Files:
    """Where the videos of the clips are.

    Attributes:
        found: of each clip id that has one, the video or the folder of frames.
        missing: clips that have none, and where it was looked for.
        unannotated: videos that belong to no clip, relative to their root.
    """

    found: Mapping[str, Path]
    missing: tuple[tuple[Clip, str], ...]
    unannotated: tuple[str, ...]


@dataclass(frozen=True)
class Copies:
    """Videos with the same content.

    Attributes:
        num_files: how many files there are.
        num_compared: how many of them have the size of another, and were read.
        groups: paths of files with the same content, of two or more.
        unreadable: files that could not be read, and why.
    """

    num_files: int
    num_compared: int
    groups: tuple[tuple[Path, ...], ...]
    unreadable: tuple[tuple[Path, str], ...] = ()


def find_files(annotations: Annotations) -> Files:
    """Looks for the video of every clip."""
    paths, unannotated = find_videos(annotations)
    leads_out = leading_out_of(annotations.roots)
    is_there: dict[Path, bool] = {}
    for path in paths.values():
        if path not in is_there:
            is_it = path.is_dir() if annotations.are_frames else path.is_file()
            is_there[path] = is_it and not leads_out(path)
    return Files(
        found={clip_id: path for clip_id, path in paths.items() if is_there[path]},
        missing=tuple(
            (clip, shown(os.path.abspath(paths[clip.clip_id])))
            for clip in annotations.clips
            if not is_there[paths[clip.clip_id]]
        ),
        unannotated=tuple(unannotated),
    )


def find_copies(paths: Sequence[Path]) -> Copies:
    """Which files hold the same: only those of equal size are read.

    Args:
        paths: of files; one that is listed twice counts once.
    """
    paths = tuple(dict.fromkeys(paths))
    by_size: defaultdict[int, list[tuple[tuple[int, int], Path]]] = defaultdict(list)
    for path in paths:
        status = path.stat()
        by_size[status.st_size].append(((status.st_dev, status.st_ino), path))
    num_compared = 0
    groups: list[tuple[Path, ...]] = []
    unreadable: list[tuple[Path, str]] = []
    for size, same_size in sorted(by_size.items()):
        if len(same_size) == 1 or size == 0:
            continue
        num_compared += len(same_size)
        # Two names of one file need not be read.
        digests: dict[tuple[int, int], str] = {}
        if len({inode for inode, _ in same_size}) == 1:
            digests = {same_size[0][0]: ""}
        by_content: defaultdict[str, list[Path]] = defaultdict(list)
        for inode, path in same_size:
            try:
                if inode not in digests:
                    digests[inode] = _digest(path)
            except OSError as error:
                unreadable.append((path, error.strerror or str(error)))
                continue
            by_content[digests[inode]].append(path)
        groups.extend(tuple(same) for same in by_content.values() if len(same) > 1)
    return Copies(len(paths), num_compared, tuple(groups), tuple(unreadable))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_files(subject: Subject, files: Files, copies: Copies | None) -> list[Finding]:
    """What is wrong with the files.

    Args:
        subject: not converted.
        files: those of its clips.
        copies: of them; None where they were not compared.
    """
    num_clips = len(subject.annotations.clips)
    found = []
    if files.missing:
        rows: list[Row] = [
            {
                "clip": clip.clip_id,
                "split": clip.split,
                "looked for": path,
                "annotated in": clip.source,
            }
            for clip, path in files.missing
        ]
        have = "has" if len(rows) == 1 else "have"
        summary = f"{len(rows):,} of {count(num_clips, 'clip')} {have} no file"
        found.append(problem("clips_without_files", summary, rows))
    if copies is not None:
        found.extend(_check_copies(subject, files, copies))
    if files.unannotated:
        summary = f"{count(len(files.unannotated), 'video')} without a clip"
        found.append(
            note("files_without_clips", summary, [{"video": name} for name in files.unannotated])
        )
    return found


def _check_copies(subject: Subject, files: Files, copies: Copies) -> list[Finding]:
    clips_of: defaultdict[Path, list[Clip]] = defaultdict(list)
    for clip in subject.annotations.clips:
        if clip.clip_id in files.found:
            clips_of[files.found[clip.clip_id]].append(clip)
    across: list[Row] = []
    within: list[Row] = []
    for group in copies.groups:
        clips = [clip for path in group for clip in clips_of[path]]
        splits = dict.fromkeys(clip.split for clip in clips)
        row: Row = {
            "videos": ", ".join(dict.fromkeys(clip.path for clip in clips)),
            "splits": ", ".join(splits),
            "actions": " / ".join(dict.fromkeys(", ".join(clip.actions) for clip in clips)),
        }
        (across if len(splits) > 1 else within).append(row)
    read = f"{copies.num_compared:,} of {count(copies.num_files, 'file')} have the size of another"
    found = []
    if across:
        summary = f"{count(len(across), 'video')} in several splits under different names ({read})"
        found.append(problem("copies_in_two_splits", summary, across))
    if copies.unreadable:
        rows: list[Row] = [
            {"file": shown(path), "why": shortened(why)} for path, why in copies.unreadable
        ]
        found.append(problem("unreadable_files", f"{count(len(rows), 'file')} unreadable", rows))
    if within:
        summary = f"{count(len(within), 'video')} in one split under different names ({read})"
        found.append(note("copies_in_one_split", summary, within))
    return found


def check_conversion(subject: Subject) -> list[Finding]:
    """What a conversion has noted: clips that it left out, videos that belong to none."""
    found = []
    if subject.failures:
        summary = f"{count(len(subject.failures), 'clip')} left out of the conversion"
        found.append(problem("clips_without_files", summary, subject.failures))
    if subject.unannotated:
        summary = f"{count(len(subject.unannotated), 'video')} without a clip"
        rows = [{"video": os.fspath(name)} for name in subject.unannotated]
        found.append(note("files_without_clips", summary, rows))
    return found
