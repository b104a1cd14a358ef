"""`animal-clip convert-videos --engine=ray`: shards written by the machines of a Ray cluster.

A shard is a task: it is written under another name and renamed, so that one that is written twice,
as its worker died, is there once.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import ray

from animal_clip_jax.counting_bar import counting_bar
from animal_clip_jax.ray_cluster import Seen, begin_worker, check_machines, one_a_cpu
from animal_clip_jax.ray_tasks import deal
from data_pipeline.annotations.record import Annotations
from data_pipeline.conversion.shards import Shard, ShardContents
from data_pipeline.conversion.stored_frames import StoredFrames
from data_pipeline.conversion.write_shards import EncodeAll, write_shards
from data_pipeline.dataset_files import DATASET_FILE


class _Job(NamedTuple):
    """What a worker has to know; see `write_shards`. Paths count from `directory`."""

    output: Path
    annotations: Annotations
    encode: EncodeAll
    former: StoredFrames | None
    directory: str


class _Task(NamedTuple):
    """A shard, and where its videos are."""

    shard: Shard
    videos: dict[str, Path]


def write_shards_on_ray(
    output: Path,
    shards: Sequence[Shard],
    annotations: Annotations,
    videos: Mapping[str, Path],
    *,
    encode: EncodeAll,
    former: StoredFrames | None,
    workers: int,
) -> dict[str, ShardContents]:
    """`write_shards`, by the cluster that was `joined`.

    Args:
        output, shards, annotations, videos, encode, former: as for `write_shards`.
        workers: processes that decode, of each worker; it takes as many CPUs.

    Raises:
        ConversionError: a shard cannot be written.
        UserError: a machine of the cluster lacks the program or a file.
    """
    resources = one_a_cpu(workers)
    check_machines(
        resources,
        [
            Seen.at("the folder in which this was started", os.curdir),
            Seen.at("the output", output / DATASET_FILE),
            *(Seen.at("a folder of videos", root) for root in annotations.roots),
        ],
    )
    # All that `write_shards` asks of them, once for each worker; the clips come with their shards.
    job = _Job(output, replace(annotations, clips=()), encode, former, os.getcwd())
    kept = ray.put(job)
    worker = ray.remote(**resources.options)(_Worker)
    contents: dict[str, ShardContents] = {}
    with counting_bar("converting", "clips") as bar:
        # What it is about may have brackets in its name.
        say = partial(bar.console.print, markup=False, highlight=False)
        number = min(resources.number, len(shards))
        say(f"Ray: {number} worker{'s' * (number > 1)} of {workers} CPU{'s' * (workers > 1)}")
        counted = bar.add_task("", total=sum(len(shard.clips) for shard in shards))

        def done(task: _Task, written: dict[str, ShardContents]) -> None:
            contents.update(written)
            bar.advance(counted, len(task.shard.clips))

        deal(
            [
                _Task(shard, {clip.clip_id: videos[clip.clip_id] for clip in shard.clips})
                for shard in shards
            ],
            lambda: worker.remote(kept),
            resources,
            done=done,
            say=say,
            in_words=lambda task: task.shard.file_name,
        )
    return contents


class _Worker:
    """On a machine of the cluster."""

    def __init__(self, job: _Job) -> None:
        self._job = job

    def ready(self) -> None:
        begin_worker(self._job.directory)
        # It takes seconds, and no task has to wait for it.
        import data_pipeline.conversion.tfrecords  # noqa: F401

    def work(self, task: _Task) -> dict[str, ShardContents]:
        return write_shards(
            self._job.output,
            [task.shard],
            self._job.annotations,
            task.videos,
            encode=self._job.encode,
            former=self._job.former,
            shows=False,
        )
