"""What there is to do of a conversion: the shards that are missing, and where their videos are."""

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from animal_clip_jax.errors import shortened
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.conversion.encode import Encode, encode_in_order
from data_pipeline.conversion.errors import ConversionError
from data_pipeline.conversion.find_videos import find_videos, is_there
from data_pipeline.conversion.shards import (
    Shard,
    ShardContents,
    file_state,
    finished_contents,
    plan_shards,
)
from data_pipeline.conversion.stored_frames import StoredFrames
from data_pipeline.conversion.write_shards import WriteShards
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


@dataclass(frozen=True)
class Job:
    """What is to be converted, and how."""

    description: dict
    annotations: Annotations
    options: Options
    workers: int
    max_failures: int
    encode: Encode
    tries_again: bool
    write: WriteShards


@dataclass(frozen=True)
class Plan:
    """What there is to do: where the videos are, which belong to no clip, all shards, and what the
    finished ones hold."""

    videos: dict[str, Path]
    unannotated: list[str]
    shards: list[Shard]
    finished: dict[str, ShardContents]

    @property
    def missing(self) -> list[Shard]:
        return [shard for shard in self.shards if shard.file_name not in self.finished]


def plan_of(job: Job, output: Path) -> Plan:
    """What is missing of a conversion in a folder, which need not be there.

    Raises:
        ConversionError: more videos are missing than may.
    """
    videos, unannotated = find_videos(job.annotations)
    shards = plan_shards(job.description["name"], job.annotations, job.options.clips_per_shard)
    finished = {}
    if output.is_dir():
        finished = _finished_shards(output, shards, videos, job.tries_again)
    plan = Plan(videos, unannotated, shards, finished)
    to_write = {clip.clip_id for shard in plan.missing for clip in shard.clips}
    _check_videos_exist(
        [clip for clip in job.annotations.clips if clip.clip_id in to_write],
        videos,
        job,
        unannotated,
        sum(len(contents.failed) for contents in finished.values()),
    )
    return plan


def write_planned(
    job: Job, output: Path, shards: Sequence[Shard], plan: Plan, former: Path | None = None
) -> dict[str, ShardContents]:
    """Writes shards; what they hold, by file name."""
    return job.write(
        output,
        shards,
        job.annotations,
        plan.videos,
        encode=functools.partial(
            encode_in_order,
            short_side=job.options.short_side,
            max_frames=job.options.max_frames,
            workers=job.workers,
            encode=job.encode,
        ),
        former=StoredFrames.of(former, job.description) if former else None,
    )


def _check_videos_exist(
    clips: Sequence[Clip],
    videos: Mapping[str, Path],
    job: Job,
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
