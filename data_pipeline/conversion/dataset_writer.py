"""Writing a converted data set, or what is missing of it."""

import functools
import hashlib
import json
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from animal_clip_jax.digests import sealed
from animal_clip_jax.errors import UserError, quoted, shortened
from animal_clip_jax.files import as_local_path, write_whole
from animal_clip_jax.locks import is_free, only_writer
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.conversion.encode import (
    JPEG_QUALITY,
    JPEG_SUBSAMPLING,
    Encode,
    EncodedVideo,
    Failure,
    encode_in_order,
    encode_video,
)
from data_pipeline.conversion.output_files import write_failures, write_lists
from data_pipeline.conversion.shards import (
    FailedClip,
    Shard,
    ShardContents,
    StoredClip,
    file_state,
    finish_shard,
    finished_contents,
    plan_shards,
    remove_leftovers,
    temporary_path,
)
from data_pipeline.dataset import (
    DATASET_FILE,
    FAILURES_FILE,
    FILE_DIGESTS,
    FORMAT_VERSION,
    RECORD_FRAMING,
    UNANNOTATED_FILE,
    changed_files,
    file_digests,
    parse_description,
)
from data_pipeline.limits import shown
from data_pipeline.names import similar_names

VIDEO_SUFFIXES = frozenset(
    (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")
)


MOST_WARNINGS = 20


class ConversionError(UserError):
    """A conversion that cannot be done as asked; what to do is in the message."""


@dataclass(frozen=True)
class Options:
    """What the bytes of a converted dataset depend on, beside the videos and annotations.

    Attributes:
        short_side: of the stored frames, in pixels.
        max_frames: the most frames stored of a clip; 0 stores all.
        clips_per_shard: how many clips share a file.
    """

    short_side: int = 256
    max_frames: int = 64
    clips_per_shard: int = 128

    def __post_init__(self) -> None:
        for name, least in (("short_side", 8), ("max_frames", 0), ("clips_per_shard", 1)):
            if getattr(self, name) < least:
                raise ConversionError(f"{name} is {getattr(self, name)}; the least is {least}")


def convert(
    name: str,
    annotations: Annotations,
    output: str | os.PathLike,
    *,
    options: Options,
    workers: int,
    max_failures: int = 0,
    encode: Encode = encode_video,
    tries_again: bool = False,
) -> Counter[str]:
    """Writes a dataset, or what is missing of it, and returns the number of clips of each split.

    Args:
        name: of the dataset.
        annotations: its clips and labels.
        output: a folder of this machine that is new, empty, or holds this conversion in part or
            whole. Copied into a cloud's folder, it can be read there.
        options: how the frames are stored.
        workers: processes that decode videos.
        max_failures: how many clips may be left out because their video is missing or unreadable.
        encode: how a video becomes frames; see `encode_in_order`.
        tries_again: what failed before, also where its file is the same.

    Raises:
        ConversionError: the folder holds something else, too many clips failed, or writing failed.
        UserError: another process writes into the folder.
        EncodingError: processes cannot be started.
    """
    description = _describe(name, annotations, options)
    folder = as_local_path(output, "the output of a conversion")
    if shown(folder) != str(folder):
        raise ConversionError(
            f"{shown(folder)}: the name of the output is not UTF-8, which TensorFlow needs; "
            "choose another --output"
        )
    _warn_of_similar_names(annotations)
    try:
        _check_free(folder)
        with only_writer(folder):
            return _convert(
                description,
                annotations,
                folder,
                options,
                workers,
                max_failures,
                encode,
                tries_again,
            )
    except UserError:
        raise
    except OSError as error:
        raise ConversionError(
            f"{error.filename or folder} cannot be written ({error.strerror or error}); "
            "run again to go on"
        ) from error


def _warn_of_similar_names(annotations: Annotations) -> None:
    """Says which names look like one, and are not: each is a class of its own."""
    for what, names in (
        ("actions", annotations.action_names),
        ("animals", annotations.animal_names),
    ):
        groups = similar_names(names)
        for group in groups[:MOST_WARNINGS]:
            print(
                f"warning: the {what} {shortened(', '.join(map(repr, group)))} differ in case or "
                "spaces alone: each is a class of its own",
                file=sys.stderr,
            )
        if len(groups) > MOST_WARNINGS:
            print(
                f"warning: and {len(groups) - MOST_WARNINGS} more of such {what}", file=sys.stderr
            )


def _convert(
    description: dict,
    annotations: Annotations,
    output: Path,
    options: Options,
    workers: int,
    max_failures: int,
    encode: Encode,
    tries_again: bool,
) -> Counter[str]:
    splits = _prepare_output(output, description)
    remove_leftovers(output)
    videos, unannotated = locate_videos(annotations)
    shards = plan_shards(description["name"], annotations.clips, options.clips_per_shard)
    finished = _finished_shards(output, shards, videos, tries_again)
    missing = [shard for shard in shards if shard.file_name not in finished]
    num_failed = sum(len(contents.failed) for contents in finished.values())
    if splits is not None and not missing and num_failed <= max_failures:
        changed = changed_files(output)
        if not changed:
            print(f"{output} is complete already")
            return splits
        print(f"writing again what was missing, changed or without a digest: {', '.join(changed)}")
    elif finished:
        print(f"going on: {len(finished)} of {len(shards)} shards are finished")
    if missing:
        _write_description(output, {**description, "complete": False})
        finished |= _write_shards(output, missing, annotations, videos, options, workers, encode)
    contents = [finished[shard.file_name] for shard in shards]

    failed = [clip for shard in contents for clip in shard.failed]
    write_failures(output, failed, unannotated)
    if unannotated:
        print(f"{len(unannotated)} videos are not annotated, see {output / UNANNOTATED_FILE}")
    if failed:
        print(f"{len(failed)} clips have no usable video, see {output / FAILURES_FILE}")
    if len(failed) > max_failures:
        raise ConversionError(
            f"{len(failed)} of {len(annotations.clips)} clips failed, {max_failures} may; "
            f"the first: {shortened(failed[0].video)}: {failed[0].reason}. Mend the videos and run "
            f"again, or accept the loss with --max_failures={len(failed)}"
        )
    return _complete(output, description, annotations, shards, contents)


def locate_videos(annotations: Annotations) -> tuple[dict[str, Path], list[str]]:
    """Finds the file of every clip, and the videos that belong to none.

    A video may have another suffix than its annotation says (re-encoded, for instance). Links are
    followed, also to other disks, but each folder is looked through once, under its own name if it
    lies in the folder of videos: so a circle of links comes to an end.

    Returns:
        The path of each clip id, whether it exists or not, and the other videos in the folder.
    """
    on_disk = {
        path.as_posix(): path.with_suffix("").as_posix()
        for path in sorted(_files_below(annotations.videos))
        if path.suffix.lower() in VIDEO_SUFFIXES
    }
    by_stem = {stem: path for path, stem in reversed(on_disk.items())}
    found = {
        clip.clip_id: clip.path if clip.path in on_disk else by_stem.get(clip.clip_id, clip.path)
        for clip in annotations.clips
    }
    unannotated = sorted(shown(path) for path in on_disk.keys() - found.values())
    return {clip_id: annotations.videos / path for clip_id, path in found.items()}, unannotated


def _files_below(root: Path) -> Iterator[Path]:
    """What is no folder in a folder and in those below it, relative to it; see `locate_videos`."""
    seen: set[tuple[int, int]] = set()
    waiting: deque[Path] = deque([Path()])
    links: deque[Path] = deque()
    while waiting or links:
        folder = waiting.popleft() if waiting else links.popleft()
        try:
            status = (root / folder).stat()
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            continue  # its clips fail, with the reason
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if not _is_folder(entry):
                yield folder / entry.name
            elif entry.is_symlink():
                links.append(folder / entry.name)
            else:
                waiting.append(folder / entry.name)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself, for instance


def _describe(name: str, annotations: Annotations, options: Options) -> dict:
    """What `dataset.json` says from the beginning; another one is another dataset."""
    content = json.dumps(
        [
            annotations.action_names,
            annotations.animal_names,
            [
                (clip.split, clip.path, clip.actions, clip.animals, clip.performed)
                for clip in annotations.clips
            ],
        ]
    )
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "multi_label": annotations.multi_label,
        **asdict(options),
        "jpeg": f"quality {JPEG_QUALITY}, {JPEG_SUBSAMPLING}",
        "annotations_sha256": hashlib.sha256(content.encode()).hexdigest(),
    }


def _check_free(output: Path) -> None:
    """Checks, before anything is written, that the folder is new, empty or a conversion."""
    if not is_free(output, DATASET_FILE):
        raise ConversionError(
            f"{output} is not empty and holds no conversion; choose another --output"
        )


def _prepare_output(output: Path, description: dict) -> Counter[str] | None:
    """Begins a conversion, or checks that the folder holds this one; its splits if complete."""
    path = output / DATASET_FILE
    if not path.is_file():
        _check_free(output)
        _write_description(output, {**description, "complete": False})
        return None
    found = parse_description(path.read_bytes(), path)
    for key, value in description.items():
        # One of an older version is finished, or mended, as one of today's.
        if found.get(key) != value and key != "format_version":
            raise ConversionError(
                f"{output} holds another conversion: its {key} is {quoted(found.get(key))}, "
                f"now it is {value!r}; choose another --output or remove that one"
            )
    return Counter(found["splits"]) if found["complete"] else None


def _write_description(output: Path, description: dict) -> None:
    write_whole(output / DATASET_FILE, json.dumps(sealed(description), indent=2) + "\n")


def _finished_shards(
    output: Path, shards: Sequence[Shard], videos: dict[str, Path], tries_again: bool
) -> dict[str, ShardContents]:
    """The finished shards by file name, less those with a failed clip that deserves another try."""
    finished = {}
    for shard in shards:
        contents = finished_contents(output, shard)
        if contents is not None and all(
            clip.file_state == file_state(videos[clip.clip_id]) and not tries_again
            for clip in contents.failed
        ):
            finished[shard.file_name] = contents
    return finished


def _write_shards(
    output: Path,
    shards: Sequence[Shard],
    annotations: Annotations,
    videos: dict[str, Path],
    options: Options,
    workers: int,
    encode: Encode,
) -> dict[str, ShardContents]:
    # Here, not above: the processes that decode import this module and do without TensorFlow. And
    # before the bar: no other thread can import while TensorFlow Datasets is imported.
    from data_pipeline.conversion.tfrecords import record_features, serialize_record

    features = record_features(annotations.action_names, annotations.animal_names)
    serialize = functools.partial(serialize_record, features)
    paths = [videos[clip.clip_id] for shard in shards for clip in shard.clips]
    encoded = encode_in_order(
        paths,
        short_side=options.short_side,
        max_frames=options.max_frames,
        workers=workers,
        encode=encode,
    )
    bar = Progress(
        TextColumn("converting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("clips"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    advance = functools.partial(bar.advance, bar.add_task("", total=len(paths)))
    with closing(encoded), bar:
        return {
            shard.file_name: _write_shard(
                output, shard, encoded, annotations.videos, videos, serialize, advance
            )
            for shard in shards
        }


def _write_shard(
    output: Path,
    shard: Shard,
    encoded: Iterator[EncodedVideo | Failure],
    folder: Path,
    videos: dict[str, Path],
    serialize: Callable[[Clip, EncodedVideo], bytes],
    advance: Callable[[], None],
) -> ShardContents:
    from data_pipeline.tensorflow_import import tf

    temporary = temporary_path(output / shard.file_name)
    stored, failed = [], []
    offset = 0
    try:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for clip in shard.clips:
                path = videos[clip.clip_id]
                relative = path.relative_to(folder).as_posix()
                video = next(encoded)
                advance()
                if isinstance(video, Failure):
                    failed.append(_failed(clip, relative, video, file_state(path)))
                    continue
                record = serialize(clip, video)
                writer.write(record)
                stored.append(_stored(clip, relative, video, shard, offset, len(record)))
                offset += len(record) + RECORD_FRAMING
        contents = ShardContents(tuple(stored), tuple(failed))
        finish_shard(output, shard, temporary, contents)
    except UserError:
        temporary.unlink(missing_ok=True)
        raise
    except (tf.errors.OpError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise ConversionError(
            f"{output / shard.file_name} cannot be written ({' '.join(str(error).split())[:300]}); "
            "make room and run again: finished shards are kept"
        ) from error
    return contents


def _failed(clip: Clip, video: str, failure: Failure, state: str) -> FailedClip:
    return FailedClip(
        split=clip.split,
        clip_id=clip.clip_id,
        video=video,
        reason=failure.reason,
        file_state=state,
    )


def _stored(
    clip: Clip, path: str, video: EncodedVideo, shard: Shard, offset: int, length: int
) -> StoredClip:
    return StoredClip(
        split=clip.split,
        shard=shard.file_name,
        offset=offset,
        length=length,
        clip_id=clip.clip_id,
        video=path,
        num_frames=video.facts.num_frames,
        frame_rate=video.facts.frame_rate,
        height=video.facts.height,
        width=video.facts.width,
        stored_frames=len(video.frames),
        stored_height=video.height,
        stored_width=video.width,
    )


def _complete(
    output: Path,
    description: dict,
    annotations: Annotations,
    shards: Sequence[Shard],
    contents: Sequence[ShardContents],
) -> Counter[str]:
    """Writes all that lies beside the shards; `dataset.json` last, which declares them complete."""
    from data_pipeline.conversion.tfrecords import record_features, write_tfds_metadata

    stored = [row for shard in contents for row in shard.stored]
    splits = Counter(dict.fromkeys((shard.split for shard in shards), 0))
    splits.update(row.split for row in stored)
    for split, count in splits.items():
        if count == 0:
            raise ConversionError(f"not one clip of the split {split!r} could be converted")
    write_lists(output, annotations, stored)
    lengths: dict[str, list[int]] = {split: [] for split in splits}
    for shard, written in zip(shards, contents, strict=True):
        lengths[shard.split].append(len(written.stored))
    write_tfds_metadata(
        output,
        record_features(annotations.action_names, annotations.animal_names),
        shard_lengths=lengths,
        num_bytes={
            split: sum(row.length + RECORD_FRAMING for row in stored if row.split == split)
            for split in splits
        },
        description=f"{description['name']}: short clips of animals and what they do.",
    )
    content = {"complete": True, "splits": dict(splits), FILE_DIGESTS: file_digests(output)}
    _write_description(output, {**description, **content})
    return splits
