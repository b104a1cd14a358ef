"""Writing a converted data set, or what is missing of it."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.files import as_local_path
from animal_clip_jax.locks import BeingWrittenError, is_free, only_writer
from animal_clip_jax.shares import (
    Share,
    no_share_is_written,
    only_writer_of_share,
    writer_in_turn,
)
from animal_clip_jax.whole_outputs import finish_exchange, replacing
from data_pipeline.annotations.label_warnings import label_warnings
from data_pipeline.annotations.record import Annotations
from data_pipeline.clip_index import RECORD_FRAMING
from data_pipeline.conversion.description import begin_output, describe, write_description
from data_pipeline.conversion.differences import changed_videos, differences, entries_of_others
from data_pipeline.conversion.encode import (
    Encode,
    encode_video,
)
from data_pipeline.conversion.errors import ConversionError
from data_pipeline.conversion.output_files import (
    write_failures,
    write_lists,
    write_read_me,
    write_repairs,
)
from data_pipeline.conversion.plan import Job, Options, plan_of, write_planned
from data_pipeline.conversion.shards import (
    Shard,
    ShardContents,
    finished_contents,
    remove_leftovers,
)
from data_pipeline.conversion.write_shards import WriteShards, write_shards
from data_pipeline.dataset_files import (
    DATASET_FILE,
    FAILURES_FILE,
    FILE_DIGESTS,
    UNANNOTATED_FILE,
    changed_files,
    file_digests,
)
from data_pipeline.limits import shown


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
    share: Share | None = None,
    write: WriteShards = write_shards,
) -> Counter[str] | None:
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
        share: of the shards that are written, where other processes write the others: every
            `share.count`-th. The last one of them completes the data set; the others return None.
        write: writes shards; see `write_shards`.

    Raises:
        ConversionError: the folder holds something else, too many videos are missing (before
            anything is decoded), too many clips failed, or writing failed.
        UserError: another process writes into the folder.
        EncodingError: processes cannot be started.
    """
    description = describe(name, annotations, options)
    folder = as_local_path(output, "the output of a conversion")
    if shown(folder) != str(folder):
        raise ConversionError(
            f"{shown(folder)}: the name of the output is not UTF-8, which TensorFlow needs; "
            "choose another --output"
        )
    for warning in label_warnings(annotations):
        print(f"warning: {warning}", file=sys.stderr)
    job = Job(description, annotations, options, workers, max_failures, encode, tries_again, write)
    try:
        _check_free(folder)
        if share is not None:
            if overwrite:
                raise ConversionError(
                    "--overwrite would have each share replace what the others write; remove the "
                    "output, or choose another"
                )
            return _convert_share(job, folder, share)
        finish_exchange(folder)
        with only_writer(folder), no_share_is_written(folder):
            others = differences(folder, description, annotations)
            if overwrite and not others:
                others = changed_videos(folder, annotations)
            if others and overwrite:
                return _replace(job, folder)
            _refuse(folder, others)
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


def _refuse(folder: Path, others: str) -> None:
    if others:
        raise ConversionError(
            f"{folder} holds another conversion: {others}; run again with --overwrite to "
            "replace it (frames that are the same are kept), or choose another --output"
        )


def _replace(job: Job, folder: Path) -> Counter[str]:
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


def _convert_share(job: Job, folder: Path, share: Share) -> Counter[str] | None:
    plan = plan_of(job, folder)
    with writer_in_turn(folder):
        finish_exchange(folder)
        _refuse(folder, differences(folder, job.description, job.annotations))
        begin_output(folder, job.description)
        if plan.missing:
            write_description(folder, {**job.description, "complete": False})
    with only_writer_of_share(folder, share):
        own = [
            shard
            for shard in plan.shards[share.index :: share.count]
            if shard.file_name not in plan.finished
        ]
        if own:
            write_planned(job, folder, own, plan)
    left = sum(finished_contents(folder, shard) is None for shard in plan.shards)
    print(f"share {share}: {len(own)} of {len(plan.shards)} shards written now, {left} are left")
    if left:
        return None
    # Whoever finds another one at work here leaves it to that one, which is the last to end and so
    # finds that all is there.
    try:
        with writer_in_turn(folder), no_share_is_written(folder):
            return _convert(replace(job, tries_again=False), folder)
    except BeingWrittenError:
        return None


def _convert(job: Job, output: Path, former: Path | None = None) -> Counter[str]:
    description, annotations = job.description, job.annotations
    plan = plan_of(job, output)
    shards, finished, unannotated = plan.shards, plan.finished, plan.unannotated
    failed = [clip for contents in finished.values() for clip in contents.failed]
    splits = begin_output(output, description)
    remove_leftovers(output)
    if splits is not None and not plan.missing and len(failed) <= job.max_failures:
        changed = changed_files(output)
        if not changed:
            print(f"{output} is complete already")
            return splits
        print(f"writing again what was missing, changed or without a digest: {', '.join(changed)}")
    elif finished:
        print(f"going on: {len(finished)} of {len(shards)} shards are finished")
    if plan.missing:
        write_description(output, {**description, "complete": False})
        finished = finished | write_planned(job, output, plan.missing, plan, former)
        # Of workers that died, whose shards others have written.
        remove_leftovers(output)
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


def _check_free(output: Path) -> None:
    """Checks, before anything is written, that the folder is new, empty or a conversion."""
    if not is_free(output, DATASET_FILE):
        raise ConversionError(
            f"{output} is not empty and holds no conversion; choose another --output"
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
    write_description(output, {**description, **content})
    return splits
