"""What a frozen recogniser sees in the clips of a split: computed once, kept for the next start."""

import hashlib
import json
import os
import pathlib
import zipfile

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.distributed import from_first, is_first, on_first
from animal_clip_jax.recognition.zero_shot import Recogniser
from data_pipeline.dataset import CLIPS_FILE, load_info


def split_features(
    recogniser: Recogniser,
    directory: str | pathlib.Path,
    split: str,
    *,
    num_frames: int,
    batch_size: int,
    mesh: Mesh,
    num_workers: int | None = None,
) -> np.ndarray:
    """What the recogniser sees in every clip of a split. All processes call it.

    Args:
        directory: a converted dataset.
        num_frames: frames looked at, spread over the clip; the centre of each.
        batch_size: clips at once, over all devices.

    Returns:
        (clips, embed_dim) float32 of unit length, in the order of the split's index.
    """
    from data_pipeline.batches import input as input_pipeline

    part, parts = mesh_lib.process_share(mesh)
    batches = input_pipeline.evaluation_batches(
        directory,
        split=split,
        num_frames=num_frames,
        image_size=recogniser.architecture.image_size,
        batch_size=batch_size,
        process_index=part,
        process_count=parts,
        num_workers=num_workers,
    )
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    values = jax.device_put(recogniser.values, replicated)
    see = jax.jit(
        lambda values, frames, mask: (recogniser.see(values, frames[:, 0]), mask),
        out_shardings=replicated,
    )
    seen = []
    for batch in batches:
        arrays = mesh_lib.put_batch({"frames": batch["frames"], "mask": batch["mask"]}, mesh)
        seen.append(see(values, arrays["frames"], arrays["mask"]))
    return np.concatenate([np.asarray(rows)[np.asarray(mask)] for rows, mask in seen])


def kept_split_features(
    path: pathlib.Path,
    recogniser: Recogniser,
    directory: str | pathlib.Path,
    split: str,
    *,
    num_frames: int,
    **options,
) -> np.ndarray:
    """As `split_features`, from a file if it holds just this; else computed and kept there.

    A file of another recogniser, data set or number of frames, or one that cannot be read, is
    replaced.

    Args:
        path: a NumPy archive. What process 0 finds there counts.
        **options: see `split_features`.

    Raises:
        OSError: the file cannot be written.
    """
    key = _key(recogniser, directory, split, num_frames)
    found = _read(path, key) if is_first() else None
    if from_first(np.int32(found is not None)):
        shape = (load_info(directory).split_sizes[split], recogniser.architecture.embed_dim)
        return from_first(np.zeros(shape, np.float32) if found is None else found)
    seen = split_features(recogniser, directory, split, num_frames=num_frames, **options)
    on_first(_write, path, key, seen)
    return seen


def _key(recogniser: Recogniser, directory: str | pathlib.Path, split: str, num_frames: int) -> str:
    clips = hashlib.sha256((pathlib.Path(directory) / CLIPS_FILE).read_bytes()).hexdigest()
    parts = [recogniser.digest, recogniser.normalisation, clips, split, num_frames]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(path: pathlib.Path, key: str) -> np.ndarray | None:
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            return content["seen"] if str(content["key"]) == key else None
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile):
        return None


def _write(path: pathlib.Path, key: str, seen: np.ndarray) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, seen=seen, key=np.array(key))
    temporary.replace(path)
