"""Shards of a conversion: which clips go where, writing one, and knowing which are finished.

A shard is written under a temporary name, which no other process uses, and renamed when it is
whole. Its list of records is written just before, into `shard_listings/`, with a digest of itself:
a shard is finished when it has its final name and the size that its listing gives it.
"""

import hashlib
import json
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from animal_clip_jax.digests import sealed, unsealed
from animal_clip_jax.files import write_whole
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.clip_index import RECORD_FRAMING

LISTINGS_FOLDER = "shard_listings"


@dataclass(frozen=True)
class Shard:
    """A file of records and the clips that belong into it; the digest is of their label ids."""

    split: str
    file_name: str
    clips: tuple[Clip, ...]
    labels_sha256: str


@dataclass(frozen=True)
class StoredClip:
    """A clip whose record is in a shard; the columns of `clips.csv`.

    `file_state` tells whether the video has changed since, so that its frames cannot be taken over;
    "" in listings of older versions.
    """

    split: str
    shard: str
    offset: int
    length: int
    clip_id: str
    video: str
    num_frames: int
    frame_rate: float
    height: int
    width: int
    stored_frames: int
    stored_height: int
    stored_width: int
    file_state: str = ""


@dataclass(frozen=True)
class FailedClip:
    """A clip without a record.

    `file_state` tells whether the video has changed since, so that another try is worth it.
    """

    split: str
    clip_id: str
    video: str
    reason: str
    file_state: str


@dataclass(frozen=True)
class ShardContents:
    """What came of the clips of one shard, in order.

    The digest is of the label ids that were written; "" in listings of older versions.
    """

    stored: tuple[StoredClip, ...]
    failed: tuple[FailedClip, ...]
    labels_sha256: str = ""


def plan_shards(name: str, annotations: Annotations, clips_per_shard: int) -> list[Shard]:
    """Deals the clips of each split out to shards.

    Annotations are often sorted by class. The order in the shards is by a hash of the clip id
    instead, so that any reader who shuffles only a window of records sees all classes.
    """
    splits = defaultdict(list)
    for clip in annotations.clips:
        splits[clip.split].append(clip)
    actions = {name: number for number, name in enumerate(annotations.action_names)}
    animals = {name: number for number, name in enumerate(annotations.animal_names)}

    def digest(group: Sequence[Clip]) -> str:
        labels = [
            (clip.clip_id, [actions[k] for k in clip.actions], [animals[k] for k in clip.animals])
            for clip in group
        ]
        return hashlib.sha256(json.dumps(labels).encode()).hexdigest()

    shards = []
    for split, members in splits.items():
        members.sort(key=lambda clip: hashlib.sha256(clip.clip_id.encode()).digest())
        groups = [
            tuple(members[start : start + clips_per_shard])
            for start in range(0, len(members), clips_per_shard)
        ]
        shards += [
            Shard(
                split,
                f"{name}-{split}.tfrecord-{number:05d}-of-{len(groups):05d}",
                group,
                digest(group),
            )
            for number, group in enumerate(groups)
        ]
    return shards


def file_state(path: Path) -> str:
    """Size and time of change of a file, or of all files in a folder; empty where there is none."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            files = [entry.stat() for entry in os.scandir(path)]
            latest = max((file.st_mtime_ns for file in files), default=0)
            return f"{len(files)} files, {sum(file.st_size for file in files)} {latest}"
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def finished_contents(directory: Path, shard: Shard) -> ShardContents | None:
    """What a finished shard holds; None if it has to be written (again)."""
    contents = _listed(directory, shard.file_name)
    if contents is None or contents.labels_sha256 not in ("", shard.labels_sha256):
        return None
    wanted = [clip.clip_id for clip in shard.clips]
    stored = [row.clip_id for row in contents.stored]
    failed = frozenset(row.clip_id for row in contents.failed)
    in_order = [clip_id for clip_id in wanted if clip_id not in failed] == stored
    is_whole = len(stored) + len(contents.failed) == len(wanted)
    is_of_split = all(row.split == shard.split for row in contents.stored)
    return contents if in_order and is_whole and is_of_split else None


def all_contents(directory: Path) -> dict[str, ShardContents]:
    """What the finished shards of a conversion hold, whatever it was made of, by file name."""
    names = sorted(path.stem for path in (directory / LISTINGS_FOLDER).glob("*.json"))
    found = {name: _listed(directory, name) for name in names}
    return {name: contents for name, contents in found.items() if contents is not None}


def _listed(directory: Path, file_name: str) -> ShardContents | None:
    """What the listing of a shard says; None if it is damaged, or the shard has another size."""
    listing = _listing_path(directory, file_name)
    path = directory / file_name
    if not path.is_file() or not listing.is_file():
        return None
    contents = _parse_listing(listing.read_bytes(), file_name)
    if contents is None:
        return None
    size = sum(clip.length + RECORD_FRAMING for clip in contents.stored)
    return contents if path.stat().st_size == size else None


def _parse_listing(text: bytes, file_name: str) -> ShardContents | None:
    """The contents of a shard, whose records follow each other; None of a damaged listing."""
    try:
        listed = unsealed(json.loads(text), is_sealed=False)  # those of older versions are not
        contents = ShardContents(
            tuple(StoredClip(**row) for row in listed["stored"]),
            tuple(FailedClip(**row) for row in listed["failed"]),
            listed.get("labels_sha256", ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    rows: list[StoredClip | FailedClip] = [*contents.stored, *contents.failed]
    if not all(_has_its_types(row) for row in rows) or type(contents.labels_sha256) is not str:
        return None
    offset = 0
    for clip in contents.stored:
        if (clip.shard, clip.offset) != (file_name, offset):
            return None
        offset += clip.length + RECORD_FRAMING
    return contents


def _has_its_types(row: StoredClip | FailedClip) -> bool:
    # JSON writes a rate such as 12.0 with its decimal point.
    return all(type(getattr(row, field.name)) is field.type for field in fields(row))


def finish_shard(directory: Path, shard: Shard, written: Path, contents: ShardContents) -> None:
    """Gives a whole shard, written under the temporary name, its listing and final name."""
    listing = _listing_path(directory, shard.file_name)
    listing.parent.mkdir(exist_ok=True)
    write_whole(listing, json.dumps(sealed(asdict(contents))))
    _to_disk(written)
    written.replace(directory / shard.file_name)


def link_shard(
    source: Path,
    directory: Path,
    shard: Shard,
    contents: ShardContents,
    link: Callable[[Path, Path], object],
) -> None:
    """Makes a shard of one conversion one of another, by `os.link` or a function that copies.

    Raises:
        OSError: that cannot be done.
    """
    temporary = temporary_path(directory / shard.file_name)
    temporary.unlink(missing_ok=True)
    link(source / shard.file_name, temporary)
    finish_shard(directory, shard, temporary, contents)


def temporary_path(path: Path) -> Path:
    """The name under which this process writes a shard until it is whole."""
    return path.with_name(f"{path.name}.{os.getpid()}.incomplete")


def remove_leftovers(directory: Path) -> None:
    """Removes what a conversion that was killed had begun to write, here and in the listings.

    Nobody else may be writing there meanwhile.
    """
    for folder in (directory, directory / LISTINGS_FOLDER):
        for path in folder.glob("*.incomplete"):
            path.unlink(missing_ok=True)


def _listing_path(directory: Path, file_name: str) -> Path:
    return directory / LISTINGS_FOLDER / f"{file_name}.json"


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
