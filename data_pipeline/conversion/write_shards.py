"""Writing the shards of a conversion, with frames decoded or taken from a former conversion."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from animal_clip_jax.counting_bar import counting_bar
from animal_clip_jax.errors import UserError
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.clip_index import RECORD_FRAMING
from data_pipeline.conversion.encode import EncodedVideo, Failure, Footage
from data_pipeline.conversion.errors import ConversionError
from data_pipeline.conversion.find_videos import relative_to_roots
from data_pipeline.conversion.shards import (
    FailedClip,
    Shard,
    ShardContents,
    StoredClip,
    file_state,
    finish_shard,
    temporary_path,
)
from data_pipeline.conversion.stored_frames import StoredFrames
from data_pipeline.video_files import leading_out_of

EncodeAll = Callable[[Sequence[Footage]], Generator[EncodedVideo | Failure, None, None]]
# `write_shards`, or what has it done elsewhere.
WriteShards = Callable[..., dict[str, ShardContents]]


def write_shards(
    output: Path,
    shards: Sequence[Shard],
    annotations: Annotations,
    videos: Mapping[str, Path],
    *,
    encode: EncodeAll,
    former: StoredFrames | None,
    shows: bool = True,
) -> dict[str, ShardContents]:
    """Writes shards, with a bar that counts their clips.

    Args:
        output: the folder of the conversion.
        shards: those to write.
        annotations: the dataset's.
        videos: the file, or folder of frames, of each clip id.
        encode: yields what becomes of footage, in order.
        former: a conversion whose frames are taken over where they are of the same footage.
        shows: whether there is a bar.

    Returns:
        What each shard holds, by file name.

    Raises:
        ConversionError: one cannot be written.
    """
    # Here, not above: the processes that decode import this package and do without TensorFlow. And
    # before the bar: no other thread can import while TensorFlow Datasets is imported.
    from data_pipeline.conversion.tfrecords import record_features, serialize_record

    features = record_features(annotations.action_names, annotations.animal_names)

    def serialize(clip: Clip, video: EncodedVideo) -> bytes:
        return serialize_record(features, clip, video)

    def footage(clip: Clip) -> Footage:
        return Footage(videos[clip.clip_id], clip.start, clip.stop, annotations.are_frames)

    same = {
        shard.file_name
        for shard in shards
        if former and former.has_shard(shard, videos, annotations.roots)
    }
    written = [shard for shard in shards if shard.file_name not in same]
    leads_out = leading_out_of(annotations.roots)
    outside = {
        clip.clip_id for shard in written for clip in shard.clips if leads_out(videos[clip.clip_id])
    }
    kept = {
        clip.clip_id
        for shard in written
        for clip in shard.clips
        if former and former.has(clip, videos[clip.clip_id], annotations.roots)
    }
    if former:
        num_clips = sum(len(shard.clips) for shard in shards)
        num_new = sum(len(shard.clips) for shard in written) - len(kept)
        print(f"frames of {num_clips - num_new} of {num_clips} clips are taken from {former}")
    encoded = encode(
        [
            footage(clip)
            for shard in written
            for clip in shard.clips
            if clip.clip_id not in kept | outside
        ]
    )

    def frames_of(clip: Clip) -> EncodedVideo | Failure:
        if clip.clip_id in outside:
            return Failure("a link leads out of the folders of videos; name its folder with --root")
        if clip.clip_id not in kept or former is None:
            return next(encoded)
        # What is damaged in the former conversion is decoded again.
        return former.frames(clip) or next(encode([footage(clip)]))

    bar = counting_bar("converting", "clips", is_shown=shows)
    task = bar.add_task("", total=sum(len(shard.clips) for shard in shards))
    contents = {}
    with closing(encoded), bar:
        for shard in shards:
            if former and shard.file_name in same:
                contents[shard.file_name] = former.take_shard(shard, output)
                bar.advance(task, len(shard.clips))
            else:
                contents[shard.file_name] = _write_shard(
                    output,
                    shard,
                    frames_of,
                    annotations.roots,
                    videos,
                    serialize,
                    lambda: bar.advance(task),
                )
    return contents


def _write_shard(
    output: Path,
    shard: Shard,
    frames_of: Callable[[Clip], EncodedVideo | Failure],
    roots: Sequence[Path],
    videos: Mapping[str, Path],
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
                relative, state = relative_to_roots(path, roots), file_state(path)
                video = frames_of(clip)
                advance()
                if isinstance(video, Failure):
                    failed.append(
                        FailedClip(clip.split, clip.clip_id, relative, video.reason, state)
                    )
                    continue
                record = serialize(clip, video)
                writer.write(record)
                stored.append(_stored(clip, relative, state, video, shard, offset, len(record)))
                offset += len(record) + RECORD_FRAMING
        contents = ShardContents(tuple(stored), tuple(failed), shard.labels_sha256)
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


def _stored(
    clip: Clip, path: str, state: str, video: EncodedVideo, shard: Shard, offset: int, length: int
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
        file_state=state,
    )
