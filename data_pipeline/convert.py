"""Videos and annotations -> TFRecord shards.

    python -m data_pipeline.convert --dataset=lote_animal --source=LoTE --output=lote_tfrecord

A conversion that was interrupted goes on when the same command is run again.
`data_pipeline.dataset` says which files the output holds.
"""

import argparse
import csv
import hashlib
import io
import json
import multiprocessing
import os
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from data_pipeline.annotations.lote_animal import read_lote_animal
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.dataset import (
    ACTIONS_FILE,
    ANIMALS_FILE,
    CLIP_COLUMNS,
    CLIPS_FILE,
    DATASET_FILE,
    FORMAT_VERSION,
    RELATION_FILE,
    TRAIN_SPLIT,
    DatasetError,
)
from data_pipeline.encode import (
    JPEG_QUALITY,
    JPEG_SUBSAMPLING,
    EncodedVideo,
    Failure,
    encode_video,
)
from data_pipeline.shards import (
    RECORD_FRAMING,
    FailedClip,
    Shard,
    ShardContents,
    StoredClip,
    file_state,
    finish_shard,
    finished_contents,
    plan_shards,
    remove_progress,
    temporary_path,
    write_text,
)

DATASETS = ("lote_animal",)
FAILURES_FILE = "failures.csv"
UNANNOTATED_FILE = "unannotated_videos.csv"
COUNTS_FILE = "counts.csv"
VIDEO_SUFFIXES = frozenset(
    (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")
)
# Clips that are decoded ahead of the one being written, for each process: enough to keep it busy,
# few enough to hold.
CLIPS_AHEAD = 4


class ConversionError(Exception):
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


def read_annotations(dataset: str, source: Path) -> Annotations:
    """The annotations of one of `DATASETS` in its folder of official files."""
    match dataset:
        case "lote_animal":
            return read_lote_animal(source)
    raise ConversionError(f"the dataset {dataset!r} is not one of {', '.join(DATASETS)}")


def convert(
    name: str,
    annotations: Annotations,
    output: Path,
    *,
    options: Options,
    workers: int,
    max_failures: int = 0,
) -> Counter[str]:
    """Writes a dataset, or what is missing of it, and returns the number of clips of each split.

    Args:
        name: of the dataset.
        annotations: its clips and labels.
        output: a folder that is new, empty, or holds this conversion in part or whole.
        options: how the frames are stored.
        workers: processes that decode videos.
        max_failures: how many clips may be left out because their video is missing or unreadable.

    Raises:
        ConversionError: the folder holds something else, too many clips failed, or writing failed.
    """
    description = _describe(name, annotations, options)
    if _prepare_output(output, description):
        remove_progress(output)
        print(f"{output} is complete already")
        return Counter(json.loads((output / DATASET_FILE).read_text(encoding="utf-8"))["splits"])
    videos, unannotated = locate_videos(annotations)
    shards = plan_shards(name, annotations.clips, options.clips_per_shard)
    contents = _write_shards(output, shards, annotations, videos, options, workers)

    failed = [clip for shard in contents for clip in shard.failed]
    _write_csv(
        output / FAILURES_FILE,
        ("split", "clip_id", "video", "reason"),
        ((clip.split, clip.clip_id, clip.video, clip.reason) for clip in failed),
    )
    _write_csv(output / UNANNOTATED_FILE, ("video",), ((video,) for video in unannotated))
    if unannotated:
        print(f"{len(unannotated)} videos are not annotated, see {output / UNANNOTATED_FILE}")
    if len(failed) > max_failures:
        raise ConversionError(
            f"{len(failed)} of {len(annotations.clips)} clips failed, {max_failures} are allowed; "
            f"first: {failed[0].video}: {failed[0].reason}; all are in {output / FAILURES_FILE}. "
            f"Mend the videos and run again, or accept the loss with --max_failures={len(failed)}"
        )
    return _complete(output, description, annotations, shards, contents)


def locate_videos(annotations: Annotations) -> tuple[dict[str, Path], list[str]]:
    """Finds the file of every clip, and the videos that belong to none.

    A video may have another suffix than its annotation says (re-encoded, for instance).

    Returns:
        The path of each clip id, whether it exists or not, and the other videos in the folder.
    """
    on_disk: dict[str, str] = {}
    for folder, folders, files in os.walk(annotations.videos, followlinks=True):
        folders.sort()
        for file in sorted(files):
            path = Path(folder, file).relative_to(annotations.videos)
            if path.suffix.lower() in VIDEO_SUFFIXES:
                on_disk[path.as_posix()] = path.with_suffix("").as_posix()
    by_stem = {stem: path for path, stem in reversed(on_disk.items())}
    found = {
        clip.clip_id: clip.path if clip.path in on_disk else by_stem.get(clip.clip_id, clip.path)
        for clip in annotations.clips
    }
    unannotated = sorted(on_disk.keys() - found.values())
    return {clip_id: annotations.videos / path for clip_id, path in found.items()}, unannotated


def _describe(name: str, annotations: Annotations, options: Options) -> dict:
    """What `dataset.json` says from the beginning; a folder with another one is another dataset."""
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


def _prepare_output(output: Path, description: dict) -> bool:
    """Makes the folder, or checks that it holds this conversion; returns whether it is complete."""
    path = output / DATASET_FILE
    if not path.is_file():
        if output.is_dir() and set(output.iterdir()) - {temporary_path(path)}:
            raise ConversionError(
                f"{output} is not empty and holds no conversion; choose another --output"
            )
        output.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({**description, "complete": False}, indent=2) + "\n")
        return False
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        complete = found["complete"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ConversionError(f"{path} is not ours; choose another --output") from error
    for key, value in description.items():
        if found.get(key) != value:
            raise ConversionError(
                f"{output} holds another conversion: its {key} is {found.get(key)!r}, "
                f"now {value!r}; choose another --output or remove it"
            )
    return complete


def _write_shards(
    output: Path,
    shards: Sequence[Shard],
    annotations: Annotations,
    videos: dict[str, Path],
    options: Options,
    workers: int,
) -> list[ShardContents]:
    contents = {shard.file_name: finished_contents(output, shard) for shard in shards}
    for shard in shards:
        # A clip that failed gets another chance once its video has changed.
        finished = contents[shard.file_name]
        if finished and any(
            clip.file_state != file_state(videos[clip.clip_id]) for clip in finished.failed
        ):
            contents[shard.file_name] = None
    missing = [shard for shard in shards if contents[shard.file_name] is None]
    clips = [clip for shard in missing for clip in shard.clips]
    if len(missing) < len(shards):
        print(f"going on: {len(shards) - len(missing)} of {len(shards)} shards are finished")
    if not missing:
        return list(contents.values())

    # Spawned, not forked: a fork of a process that runs TensorFlow's threads can hang.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    progress = tqdm(total=len(clips), unit="clip", mininterval=1.0)
    try:
        encoded = _encode_in_order(pool, clips, videos, options, ahead=CLIPS_AHEAD * workers)
        for shard in missing:
            contents[shard.file_name] = _write_shard(
                output, shard, encoded, annotations, videos, progress
            )
    except BrokenProcessPool as error:
        raise ConversionError(
            "a process that decodes videos has died (out of memory, or killed); "
            "run again to go on, with fewer --workers if memory is short"
        ) from error
    finally:
        progress.close()
        pool.shutdown(wait=True, cancel_futures=True)
    return list(contents.values())


def _encode_in_order(
    pool: ProcessPoolExecutor,
    clips: Iterable[Clip],
    videos: dict[str, Path],
    options: Options,
    ahead: int,
) -> Iterator[EncodedVideo | Failure]:
    """Encodes in parallel, yields in the order of the clips, and holds at most `ahead` results."""
    waiting: deque[Future[EncodedVideo | Failure]] = deque()
    for clip in clips:
        if len(waiting) == ahead:
            yield waiting.popleft().result()
        waiting.append(
            pool.submit(
                encode_video,
                videos[clip.clip_id],
                short_side=options.short_side,
                max_frames=options.max_frames,
            )
        )
    while waiting:
        yield waiting.popleft().result()


def _write_shard(
    output: Path,
    shard: Shard,
    encoded: Iterator[EncodedVideo | Failure],
    annotations: Annotations,
    videos: dict[str, Path],
    progress: tqdm,
) -> ShardContents:
    # Here, not above: the processes that decode import this module and do without TensorFlow.
    import tensorflow as tf

    from data_pipeline.records import record_features, serialize_record

    features = record_features(annotations.action_names, annotations.animal_names)
    temporary = temporary_path(output / shard.file_name)
    stored, failed = [], []
    offset = 0
    try:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for clip in shard.clips:
                path = videos[clip.clip_id]
                relative = path.relative_to(annotations.videos).as_posix()
                video = next(encoded)
                progress.update()
                if isinstance(video, Failure):
                    failed.append(
                        FailedClip(
                            clip.split, clip.clip_id, relative, video.reason, file_state(path)
                        )
                    )
                    continue
                record = serialize_record(features, clip, video)
                writer.write(record)
                stored.append(
                    StoredClip(
                        split=clip.split,
                        shard=shard.file_name,
                        offset=offset,
                        length=len(record),
                        clip_id=clip.clip_id,
                        video=relative,
                        num_frames=video.num_frames,
                        frame_rate=video.frame_rate,
                        height=video.height,
                        width=video.width,
                        stored_frames=len(video.frames),
                        stored_height=video.stored_height,
                        stored_width=video.stored_width,
                    )
                )
                offset += len(record) + RECORD_FRAMING
        contents = ShardContents(tuple(stored), tuple(failed))
        finish_shard(output, shard, temporary, contents)
    except (tf.errors.OpError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise ConversionError(
            f"{output / shard.file_name} cannot be written ({error}); "
            "make room and run again: finished shards are kept"
        ) from error
    return contents


def _complete(
    output: Path,
    description: dict,
    annotations: Annotations,
    shards: Sequence[Shard],
    contents: Sequence[ShardContents],
) -> Counter[str]:
    """Writes all that lies beside the shards; `dataset.json` last, which declares them complete."""
    from data_pipeline.records import record_features, write_tfds_metadata

    clips = {clip.clip_id: clip for clip in annotations.clips}
    stored = [row for shard in contents for row in shard.stored]
    splits = Counter(dict.fromkeys((shard.split for shard in shards), 0))
    splits.update(row.split for row in stored)
    empty = [split for split, count in splits.items() if count == 0]
    if empty:
        raise ConversionError(f"not one clip of the split {empty[0]!r} could be converted")

    write_text(output / ACTIONS_FILE, "".join(f"{name}\n" for name in annotations.action_names))
    write_text(output / ANIMALS_FILE, "".join(f"{name}\n" for name in annotations.animal_names))
    action_ids = {name: number for number, name in enumerate(annotations.action_names)}
    animal_ids = {name: number for number, name in enumerate(annotations.animal_names)}
    _write_csv(
        output / CLIPS_FILE,
        CLIP_COLUMNS,
        (
            (
                *asdict(row).values(),
                " ".join(str(action_ids[name]) for name in clips[row.clip_id].actions),
                " ".join(str(animal_ids[name]) for name in clips[row.clip_id].animals),
            )
            for row in stored
        ),
    )
    _write_counts(output, [(row.split, clips[row.clip_id]) for row in stored], annotations)
    write_tfds_metadata(
        output,
        record_features(annotations.action_names, annotations.animal_names),
        shard_lengths={
            split: [
                len(c.stored) for s, c in zip(shards, contents, strict=True) if s.split == split
            ]
            for split in splits
        },
        num_bytes={
            split: sum(row.length + RECORD_FRAMING for row in stored if row.split == split)
            for split in splits
        },
        description=f"{description['name']}: short clips of animals and what they do.",
    )
    write_text(
        output / DATASET_FILE,
        json.dumps({**description, "complete": True, "splits": dict(splits)}, indent=2) + "\n",
    )
    remove_progress(output)
    return splits


def _write_counts(
    output: Path, stored: Sequence[tuple[str, Clip]], annotations: Annotations
) -> None:
    """Clips of each class in each split, and the relation graph of the training split."""
    relation = Counter(
        pair for split, clip in stored if split == TRAIN_SPLIT for pair in clip.performed
    )
    _write_csv(
        output / RELATION_FILE,
        ("animal", "action", "clips"),
        (
            (animal, action, relation[animal, action])
            for animal in annotations.animal_names
            for action in annotations.action_names
            if relation[animal, action]
        ),
    )
    actions = Counter((split, name) for split, clip in stored for name in clip.actions)
    animals = Counter((split, name) for split, clip in stored for name in clip.animals)
    rows = [
        (split, kind, name, counts[split, name])
        for split in dict.fromkeys(split for split, _ in stored)
        for kind, names, counts in (
            ("action", annotations.action_names, actions),
            ("animal", annotations.animal_names, animals),
        )
        for name in names
    ]
    _write_csv(output / COUNTS_FILE, ("split", "kind", "name", "clips"), rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m data_pipeline.convert", description=__doc__)
    parser.add_argument("--dataset", required=True, choices=DATASETS)
    parser.add_argument("--source", required=True, type=Path, help="folder of the official files")
    parser.add_argument("--output", required=True, type=Path, help="folder for the shards")
    parser.add_argument("--short_side", type=int, default=Options.short_side, help="pixels")
    parser.add_argument(
        "--max_frames", type=int, default=Options.max_frames, help="stored of a clip; 0 is all"
    )
    parser.add_argument("--clips_per_shard", type=int, default=Options.clips_per_shard)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="decoding processes")
    parser.add_argument(
        "--max_failures", type=int, default=0, help="clips that may fail before it is an error"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = _parse_arguments(arguments)
    try:
        if options.workers < 1:
            raise ConversionError(f"--workers is {options.workers}; at least 1 is needed")
        splits = convert(
            options.dataset,
            read_annotations(options.dataset, options.source),
            options.output,
            options=Options(options.short_side, options.max_frames, options.clips_per_shard),
            workers=options.workers,
            max_failures=options.max_failures,
        )
    except (ConversionError, DatasetError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(", ".join(f"{split}: {count} clips" for split, count in splits.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
