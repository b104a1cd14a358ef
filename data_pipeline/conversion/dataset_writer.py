"""Writing a converted data set, or what is missing of it."""

import functools
import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from animal_clip_jax.digests import sealed
from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.files import as_local_path, write_whole
from animal_clip_jax.locks import is_free, only_writer
from animal_clip_jax.whole_outputs import finish_exchange, replacing
from data_pipeline.annotations.label_warnings import label_warnings
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.clip_index import RECORD_FRAMING
from data_pipeline.conversion.differences import changed_videos, differences, entries_of_others
from data_pipeline.conversion.encode import (
    JPEG_QUALITY,
    JPEG_SUBSAMPLING,
    Encode,
    encode_in_order,
    encode_video,
)
from data_pipeline.conversion.errors import ConversionError
from data_pipeline.conversion.find_videos import find_videos, is_there
from data_pipeline.conversion.output_files import (
    write_failures,
    write_lists,
    write_read_me,
    write_repairs,
)
from data_pipeline.conversion.shards import (
    Shard,
    ShardContents,
    file_state,
    finished_contents,
    plan_shards,
    remove_leftovers,
)
from data_pipeline.conversion.stored_frames import StoredFrames
from data_pipeline.conversion.write_shards import write_shards
from data_pipeline.dataset_files import (
    ACTION_SEGMENTS,
    DATASET_FILE,
    FAILURES_FILE,
    FILE_DIGESTS,
    FORMAT_VERSION,
    SEGMENTS_SOURCE,
    UNANNOTATED_FILE,
    changed_files,
    file_digests,
    parse_description,
)
from data_pipeline.limits import shown


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
    overwrite: bool = False,
    encode: Encode = encode_video,
    tries_again: bool = False,
) -> Counter[str]:
    """Writes a dataset, or what is missing of it, and returns the number of clips of each split.

    With `overwrite`, another conversion in the folder is replaced once the new one is whole. The
    frames that it has of the same videos, stored in the same way, are taken over: so changed labels
    and added clips cost little. What comes out is the same as from a conversion into a new folder.

    Args:
        name: of the dataset.
        annotations: its clips and labels.
        output: a folder of this machine that is new, empty, or holds this conversion in part or
            whole. Copied into a cloud's folder, it can be read there.
        options: how the frames are stored.
        workers: processes that decode videos.
        max_failures: how many clips may be left out because their video is missing or unreadable.
        overwrite: whether another conversion may be replaced.
        encode: how a video becomes frames; see `encode_in_order`.
        tries_again: what failed before, also where its file is the same.

    Raises:
        ConversionError: the folder holds something else, too many videos are missing (before
            anything is decoded), too many clips failed, or writing failed.
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
    for warning in label_warnings(annotations):
        print(f"warning: {warning}", file=sys.stderr)
    job = _Job(description, annotations, options, workers, max_failures, encode, tries_again)
    try:
        _check_free(folder)
        finish_exchange(folder)
        with only_writer(folder):
            others = differences(folder, description, annotations)
            if overwrite and not others:
                others = changed_videos(folder, annotations)
            if others and overwrite:
                return _replace(job, folder)
            if others:
                raise ConversionError(
                    f"{folder} holds another conversion: {others}; run again with --overwrite to "
                    "replace it (frames that are the same are kept), or choose another --output"
                )
            splits = _convert(job, folder)
            # Of a replacement that was broken off, and is not wanted any more.
            _remove(_beside(folder))
            return splits
    except UserError:
        raise
    except OSError as error:
        raise ConversionError(
            f"{error.filename or folder} cannot be written ({error.strerror or error}); "
            "run again to go on"
        ) from error


@dataclass(frozen=True)
class _Job:
    """What is to be converted, and how."""

    description: dict
    annotations: Annotations
    options: Options
    workers: int
    max_failures: int
    encode: Encode
    tries_again: bool


def _replace(job: _Job, folder: Path) -> Counter[str]:
    """Converts into a folder beside the other conversion, and exchanges them once it is whole."""
    beside = _beside(folder)
    if beside.is_dir() and (
        differences(beside, job.description, job.annotations)
        or changed_videos(beside, job.annotations)
    ):
        _remove(beside)
    splits = _convert(job, beside, former=folder)
    for entry in entries_of_others(folder):
        # Somebody's notes, for instance.
        print(f"kept, though no part of a conversion: {folder / entry.name}")
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, beside / entry.name, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(entry, beside / entry.name, follow_symlinks=False)
    with replacing(folder) as new:
        beside.rename(new)
    return splits


def _beside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replacement")


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)


def _convert(job: _Job, output: Path, former: Path | None = None) -> Counter[str]:
    description, annotations, options = job.description, job.annotations, job.options
    videos, unannotated = find_videos(annotations)
    shards = plan_shards(description["name"], annotations, options.clips_per_shard)
    finished = {}
    if output.is_dir():
        finished = _finished_shards(output, shards, videos, job.tries_again)
    missing = [shard for shard in shards if shard.file_name not in finished]
    failed = [clip for contents in finished.values() for clip in contents.failed]
    to_write = {clip.clip_id for shard in missing for clip in shard.clips}
    _check_videos_exist(
        [clip for clip in annotations.clips if clip.clip_id in to_write],
        videos,
        job,
        unannotated,
        len(failed),
    )
    splits = _prepare_output(output, description)
    remove_leftovers(output)
    if splits is not None and not missing and len(failed) <= job.max_failures:
        changed = changed_files(output)
        if not changed:
            print(f"{output} is complete already")
            return splits
        print(f"writing again what was missing, changed or without a digest: {', '.join(changed)}")
    elif finished:
        print(f"going on: {len(finished)} of {len(shards)} shards are finished")
    if missing:
        _write_description(output, {**description, "complete": False})
        stored = StoredFrames.of(former, description) if former else None
        finished |= write_shards(
            output,
            missing,
            annotations,
            videos,
            encode=functools.partial(
                encode_in_order,
                short_side=options.short_side,
                max_frames=options.max_frames,
                workers=job.workers,
                encode=job.encode,
            ),
            former=stored,
        )
    contents = [finished[shard.file_name] for shard in shards]

    failed = [clip for shard in contents for clip in shard.failed]
    write_failures(output, failed, unannotated)
    # Where it will be, unless this ends here.
    place = output if len(failed) > job.max_failures or former is None else former
    if unannotated:
        print(f"videos without an annotation: {len(unannotated)}, see {place / UNANNOTATED_FILE}")
    if failed:
        print(f"clips without a usable video: {len(failed)}, see {place / FAILURES_FILE}")
    if len(failed) > job.max_failures:
        raise ConversionError(
            f"{len(failed)} of {len(annotations.clips)} clips failed, {job.max_failures} may; "
            f"the first: {shortened(failed[0].video)}: {failed[0].reason}. Mend the videos and run "
            f"again, or accept the loss with --max_failures={len(failed)}"
        )
    return _complete(output, description, annotations, shards, contents)


def _check_videos_exist(
    clips: Sequence[Clip],
    videos: Mapping[str, Path],
    job: _Job,
    unannotated: Sequence[str],
    num_failed: int,
) -> None:
    """Before hours of decoding: raises ConversionError if more videos are missing than may."""
    is_usable = is_there(job.annotations.roots)
    missing = [clip for clip in clips if not is_usable(videos[clip.clip_id])]
    # Those that failed before for want of a file are not looked for again.
    if len(missing) + num_failed <= job.max_failures or not missing:
        return
    first = missing[0]
    path = videos[first.clip_id]
    accepted = f"or accept the loss with --max_failures={len(missing) + num_failed}"
    counted = f"{len(missing)} of {len(job.annotations.clips)} clips have no video"
    if os.path.lexists(path):
        target = os.path.realpath(path)
        raise ConversionError(
            f"{counted} in the folders of videos: {shown(os.path.abspath(path))} ({first.source}) "
            f"leads to {shown(target)}; add --root={shown(os.path.dirname(target))}, {accepted}"
        )
    name = Path(first.path).name
    elsewhere = [path for path in unannotated if Path(path).name == name]
    hint = f" There is {shortened(elsewhere[0])}, which no row names." if elsewhere else ""
    looked_in = shortened(" and ".join(map(shown, job.annotations.roots)))
    raise ConversionError(
        f"{counted}: there is no {shown(os.path.abspath(path))} ({first.source}).{hint} Paths "
        f"count from {looked_in}; mend them, {accepted}"
    )


def _describe(name: str, annotations: Annotations, options: Options) -> dict:
    """What `dataset.json` says from the beginning; another one is another dataset."""
    content = json.dumps(
        [
            annotations.action_names,
            annotations.animal_names,
            [
                (clip.split, clip.path, clip.actions, clip.animals, clip.performed, *_later(clip))
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
        ACTION_SEGMENTS: list(annotations.action_segments),
        SEGMENTS_SOURCE: annotations.segments_source,
        "annotations_sha256": hashlib.sha256(content.encode()).hexdigest(),
    }


def _later(clip: Clip) -> tuple:
    """What is known of clips since version 3, so that digests of others stay as they were."""
    known = (clip.start, clip.stop, clip.individual, clip.group)
    return known if known != (None, None, "", "") else ()


def _check_free(output: Path) -> None:
    """Checks, before anything is written, that the folder is new, empty or a conversion."""
    if not is_free(output, DATASET_FILE):
        raise ConversionError(
            f"{output} is not empty and holds no conversion; choose another --output"
        )


def _prepare_output(output: Path, description: dict) -> Counter[str] | None:
    """Begins a conversion, or goes on with this one; its splits if complete."""
    path = output / DATASET_FILE
    if not path.is_file():
        output.mkdir(parents=True, exist_ok=True)
        _write_description(output, {**description, "complete": False})
        return None
    found = parse_description(path.read_bytes(), path)
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
    write_repairs(output, annotations.repairs)
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
    write_read_me(output, description["name"])
    content = {"complete": True, "splits": dict(splits), FILE_DIGESTS: file_digests(output)}
    _write_description(output, {**description, **content})
    return splits
