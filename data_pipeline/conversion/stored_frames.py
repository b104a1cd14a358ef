"""The frames that a conversion has stored, for another one that needs the same."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.annotations.record import Clip
from data_pipeline.conversion.encode import EncodedVideo
from data_pipeline.conversion.find_videos import relative_to_roots
from data_pipeline.conversion.shards import (
    Shard,
    ShardContents,
    StoredClip,
    all_contents,
    file_state,
    link_shard,
)
from data_pipeline.dataset_files import DATASET_FILE, DatasetError, parse_description
from data_pipeline.decoding import VideoFacts

# What the bytes of a frame depend on, beside the video.
_FRAME_OPTIONS = ("short_side", "max_frames", "jpeg")


@dataclass(frozen=True)
class StoredFrames:
    """A conversion, finished or not, whose frames can be taken over."""

    folder: Path
    contents: Mapping[str, ShardContents]
    clips: Mapping[str, StoredClip]

    @classmethod
    def of(cls, folder: Path, description: dict) -> "StoredFrames | None":
        """Those of a conversion; None if it stored frames in another way than `description` says,
        or is of a version that does not know what its frames were made of."""
        path = folder / DATASET_FILE
        try:
            found = parse_description(path.read_bytes(), path)
        except DatasetError:
            return None
        if any(found.get(key) != description[key] for key in _FRAME_OPTIONS):
            return None
        contents = all_contents(folder)
        clips = {
            row.clip_id: row
            for shard in contents.values()
            for row in shard.stored
            if row.file_state
        }
        return cls(folder, contents, clips)

    def __str__(self) -> str:
        return str(self.folder)

    def has(self, clip: Clip, video: Path, roots: Sequence[Path]) -> bool:
        """Whether it has frames of this footage: the same times in a file that has not changed.

        Args:
            clip: the clip.
            video: its file, or folder of frames.
            roots: the folders that paths are relative to.
        """
        row = self.clips.get(clip.clip_id)
        return row is not None and (row.video, row.file_state) == (
            relative_to_roots(video, roots),
            file_state(video),
        )

    def frames(self, clip: Clip) -> EncodedVideo | None:
        """The frames of a clip that it has; None if they are damaged."""
        from data_pipeline.batches.reading import stored_example
        from data_pipeline.tensorflow_import import tf

        row = self.clips[clip.clip_id]
        try:
            example = stored_example(self.folder / row.shard, row.offset, row.length)
        except tf.errors.OpError:
            return None
        frames = tuple(example["frames"].numpy().tolist())
        if example["clip_id"].numpy().decode() != row.clip_id or len(frames) != row.stored_frames:
            return None
        facts = VideoFacts(
            frame_indices=example["frame_indices"].numpy(),
            num_frames=row.num_frames,
            frame_rate=row.frame_rate,
            height=row.height,
            width=row.width,
        )
        return EncodedVideo(frames, row.stored_height, row.stored_width, facts)

    def has_shard(self, shard: Shard, videos: Mapping[str, Path], roots: Sequence[Path]) -> bool:
        """Whether it has a whole shard as it would be written: the same footage and labels."""
        contents = self.contents.get(shard.file_name)
        return (
            contents is not None
            and not contents.failed
            and contents.labels_sha256 == shard.labels_sha256
            and all(
                self.clips.get(clip.clip_id) in contents.stored
                and self.has(clip, videos[clip.clip_id], roots)
                for clip in shard.clips
            )
        )

    def take_shard(self, shard: Shard, output: Path) -> ShardContents:
        """Takes a shard over that `has_shard` found, without a copy where the disk can do so."""
        contents = self.contents[shard.file_name]
        try:
            link_shard(self.folder, output, shard, contents, os.link)
        except OSError:
            link_shard(self.folder, output, shard, contents, shutil.copyfile)
        return contents
