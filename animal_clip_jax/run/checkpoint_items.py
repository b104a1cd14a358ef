"""What a checkpoint holds: the state in parts, the class context, and digests of both.

An array that lies on the devices of several processes is put together for its digest, one after the
other: so the digest is the same on any devices.
"""

from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from animal_clip_jax.digests import check_digests, digests_of
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.run.run_description import RunDescription
from animal_clip_jax.training.state import TrainState


def class_context_of(arrays: Mapping[str, Any]) -> ClassContext:
    """The class context of a checkpoint; of no animals, where it has none, as Orbax saves no empty
    arrays."""
    actions, width = arrays["action_features"].shape
    empty = {
        "animal_features": np.zeros((0, width), np.float32),
        "relation": np.zeros((actions, 0), np.float32),
    }
    return ClassContext(**{**empty, **arrays})


def state_items(state: TrainState) -> dict[str, Any]:
    """The state, in parts that can be read by themselves."""
    items: dict[str, Any] = {
        "parameters": state.values(),
        "progress": {"step": state.step, "optimizer": state.optimizer, "rng": state.rng},
    }
    # Orbax saves no empty trees.
    return {**items, "averaged": state.averaged} if state.averaged else items


def array_digests(trees: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each array of a checkpoint, by its place: "parameters/visual.projection"."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(trees)
    return digests_of(
        ("/".join(map(_name, path)), _whole(leaf)) for path, leaf in leaves if leaf is not None
    )


def _name(key: Any) -> str:
    """Of a dictionary's key, a tuple's index or a named tuple's field, as Orbax has them too."""
    return str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key))))


def _whole(array: Any) -> np.ndarray:
    """An array on this host. All processes must call it, in the same order."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        if array.is_fully_replicated:
            return np.asarray(array.addressable_data(0))
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))
    return np.asarray(array)


def check_items(
    restored: Mapping[str, Any],
    items: Collection[str],
    described: RunDescription,
    needed: Collection[str] = (),
) -> None:
    """Raises DamagedError unless items of a checkpoint are those that were saved.

    Args:
        items: that were restored.
        needed: items of which none may be missing, if they were saved; those of `items` in any
            case.
    """
    if described.digests is None:
        return
    recorded = {
        place: digest
        for place, digest in described.digests.items()
        if place.partition("/")[0] in {*items, *needed}
    }
    check_digests(array_digests({name: restored[name] for name in items}), recorded)
