"""What a frozen image–text model makes of the frames of clips."""

from collections import deque
from collections.abc import Callable, Iterable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.recognition.zero_shot import Recogniser


def image_features(
    recogniser: Recogniser,
    batches: Iterable[dict[str, np.ndarray]],
    mesh: Mesh,
    *,
    advance: Callable[[int], object] = lambda clips: None,
) -> np.ndarray:
    """The features of clips. All processes call it.

    Args:
        batches: this process's share: `frames` (clips, 1, frames, size, size, 3) uint8 and `mask`
            (clips,), False for padding.
        advance: is given the number of clips that are done, again and again.

    Returns:
        (clips, embed_dim) float32 of unit length, in the order of the batches.
    """
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    values = jax.device_put(recogniser.values, replicated)
    encode = jax.jit(
        lambda values, frames, mask: (recogniser.encode_frames(values, frames[:, 0]), mask),
        out_shardings=replicated,
    )
    kept: list[np.ndarray] = []
    encoded: deque[tuple[jax.Array, jax.Array]] = deque()

    def keep_the_first() -> None:
        rows, mask = encoded.popleft()
        kept.append(np.asarray(rows)[np.asarray(mask)])
        advance(sum(map(len, kept)))

    advance(0)
    for batch in batches:
        arrays = mesh_lib.put_batch({"frames": batch["frames"], "mask": batch["mask"]}, mesh)
        encoded.append(encode(values, arrays["frames"], arrays["mask"]))
        if len(encoded) > 1:  # while the devices have the next batch
            keep_the_first()
    while encoded:
        keep_the_first()
    return np.concatenate(kept)
