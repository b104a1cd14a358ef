"""The record of a clip: its schema, and the metadata that TensorFlow Datasets reads it by."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from data_pipeline.annotations.record import Clip
from data_pipeline.conversion.encode import EncodedVideo
from data_pipeline.tensorflow_import import tf


def record_features(
    action_names: Sequence[str], animal_names: Sequence[str]
) -> tfds.features.FeaturesDict:
    """The schema of a clip.

    clip_id: its name. frames: JPEG. frame_indices: which of the video's frames these are.
    num_frames, frame_rate, height, width: of the video. actions, animals: label ids.
    """
    return tfds.features.FeaturesDict(
        {
            "clip_id": tfds.features.Text(),
            "frames": tfds.features.Sequence(
                tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
            ),
            "frame_indices": tfds.features.Sequence(tfds.features.Scalar(np.int64)),
            "num_frames": tfds.features.Scalar(np.int64),
            "frame_rate": tfds.features.Scalar(np.float32),
            "height": tfds.features.Scalar(np.int64),
            "width": tfds.features.Scalar(np.int64),
            "actions": tfds.features.Sequence(tfds.features.ClassLabel(names=list(action_names))),
            "animals": tfds.features.Sequence(tfds.features.ClassLabel(names=list(animal_names))),
        }
    )


def serialize_record(
    features: tfds.features.FeaturesDict, clip: Clip, video: EncodedVideo
) -> bytes:
    """A clip as a serialised `tf.train.Example`, the same bytes in every run."""
    record = features.serialize_example(
        {
            "clip_id": clip.clip_id,
            "frames": list(video.frames),
            "frame_indices": video.facts.frame_indices,
            "num_frames": video.facts.num_frames,
            "frame_rate": video.facts.frame_rate,
            "height": video.facts.height,
            "width": video.facts.width,
            "actions": list(clip.actions),
            "animals": list(clip.animals),
        }
    )
    # Its fields are a map, which protobuf writes in any order unless told otherwise.
    return tf.train.Example.FromString(record).SerializeToString(deterministic=True)


def write_tfds_metadata(
    directory: Path,
    features: tfds.features.FeaturesDict,
    shard_lengths: Mapping[str, Sequence[int]],
    num_bytes: Mapping[str, int],
    description: str,
) -> None:
    """Writes what `tfds.builder_from_directory(directory)` needs.

    Args:
        directory: holds all the shards already.
        features: their schema.
        shard_lengths: number of records in each shard of each split.
        num_bytes: size of each split.
        description: of the dataset, for its readers.
    """
    template = tfds.core.ShardedFileTemplate(
        data_dir=directory, template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    )
    tfds.folder_dataset.write_metadata(
        data_dir=directory,
        features=features,
        split_infos=[
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=list(lengths),
                num_bytes=num_bytes[split],
                filename_template=template,
            )
            for split, lengths in shard_lengths.items()
        ],
        description=description,
        check_data=False,
    )
