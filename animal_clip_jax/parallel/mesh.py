"""The device mesh, and how parameters and batches lie on it.

The mesh has three axes: `data` and `fsdp` share the clips of a batch, `fsdp` also the parameters
and the optimizer state, `model` the attention heads and the hidden units. One device is a mesh
of 1 × 1 × 1 and runs the same code.
"""

import math
import re
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from animal_clip_jax.errors import UserError

AXES = ("data", "fsdp", "model")
BATCH = PartitionSpec(("data", "fsdp"))
REPLICATED = PartitionSpec()

# The first pattern that a parameter's path ends with decides; what none matches is replicated.
# Small vectors are not worth the traffic of sharding them.
_RULES: tuple[tuple[str, PartitionSpec], ...] = (
    (r"query_key_value\.kernel", PartitionSpec("fsdp", None, "model", None)),
    (r"query_key_value\.bias", PartitionSpec(None, "model", None)),
    (
        r"(blocks\.\d+\.attention|message_attention)\.out\.kernel",
        PartitionSpec("model", None, "fsdp"),
    ),
    (r"attention\.(query|key|value)\.kernel", PartitionSpec("fsdp", "model")),
    (r"attention\.out\.kernel", PartitionSpec("model", "fsdp")),
    (r"mlp\.expand\.kernel", PartitionSpec("fsdp", "model")),
    (r"mlp\.expand\.bias", PartitionSpec("model")),
    (r"mlp\.contract\.kernel", PartitionSpec("model", "fsdp")),
    (r"token_embedding", PartitionSpec("fsdp", None)),
    (r"kernel|(patch_)?projection", PartitionSpec("fsdp", None)),
)


def make_mesh(shape: Mapping[str, int], devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh over all devices.

    Args:
        shape: sizes of the axes "data", "fsdp" and "model"; one of them may be -1 and takes what is
            left.
        devices: all devices of all processes unless given.

    Raises:
        UserError: the sizes do not multiply to the number of devices.
    """
    devices = list(jax.devices() if devices is None else devices)
    sizes = [shape[axis] for axis in AXES]
    if sizes.count(-1) > 1 or any(size == 0 or size < -1 for size in sizes):
        raise UserError(
            f"config.mesh is {dict(shape)}; expected positive sizes, at most one of them -1"
        )
    advice = "set one axis to -1 to use them all"
    if -1 in sizes:
        advice = "choose the other axes so that their product divides these"
        known = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = max(len(devices) // known, 1)
    if math.prod(sizes) != len(devices):
        product = " × ".join(f"{axis} {size}" for axis, size in zip(AXES, sizes, strict=True))
        raise UserError(
            f"config.mesh is {product} = {math.prod(sizes)} devices, but there are {len(devices)}; "
            f"{advice}"
        )
    return Mesh(np.asarray(devices).reshape(sizes), AXES)


def partition_spec(path: str, shape: tuple[int, ...], mesh: Mesh | AbstractMesh) -> PartitionSpec:
    """How a parameter lies on the mesh; an axis that does not divide its dimension is left out."""
    for pattern, spec in _RULES:
        if re.search(rf"(^|\.)({pattern})$", path) and len(spec) == len(shape):
            return PartitionSpec(
                *(
                    axis if axis is not None and size % mesh.shape[axis] == 0 else None
                    for axis, size in zip(spec, shape, strict=True)
                )
            )
    return REPLICATED


def tree_shardings(tree, mesh: Mesh | AbstractMesh):
    """The sharding of every array of a tree whose dictionaries are keyed by parameter paths.

    Works for parameters and for the optimizer's state, which holds dictionaries of the same keys.
    """

    def sharding(key_path, leaf) -> NamedSharding:
        names = [key.key for key in key_path if isinstance(key, jax.tree_util.DictKey)]
        path = str(names[-1]) if names else ""
        return NamedSharding(mesh, partition_spec(path, leaf.shape, mesh))

    return jax.tree_util.tree_map_with_path(sharding, tree)


def without_fsdp(shardings):
    """The shardings of a tree with nothing spread over `fsdp`: how parameters are computed with."""

    def whole(sharding: NamedSharding) -> NamedSharding:
        axes = (None if axis == "fsdp" else axis for axis in sharding.spec)
        return NamedSharding(sharding.mesh, PartitionSpec(*axes))

    return jax.tree.map(whole, shardings)


def check_batch_size(batch_size: int, accumulation: int, mesh: Mesh) -> None:
    """Raises UserError unless the micro-batches divide over the devices that share a batch."""
    shares = mesh.shape["data"] * mesh.shape["fsdp"]
    least = accumulation * shares
    if batch_size % least:
        raise UserError(
            f"config.batch_size {batch_size} is not a multiple of config.accumulation "
            f"{accumulation} × {shares} devices that share a batch (mesh {dict(mesh.shape)}); take "
            f"a multiple of {least}, or another accumulation or mesh"
        )


def process_share(mesh: Mesh) -> tuple[int, int]:
    """Which part of every batch this process reads.

    Processes whose devices differ along `model` only need the same clips, and read the same part.

    Returns:
        the part's index, and the number of parts.

    Raises:
        UserError: the parts of the processes overlap without being the same.
    """
    rows = mesh.devices.reshape(-1, mesh.shape["model"])
    ours = [
        index
        for index, devices in enumerate(rows)
        if any(device.process_index == jax.process_index() for device in devices)
    ]
    index, offset = divmod(ours[0], len(ours))
    if offset or len(rows) % len(ours) or ours[-1] - ours[0] != len(ours) - 1:
        raise UserError(
            f"config.mesh {dict(mesh.shape)} over {jax.process_count()} processes gives this one "
            f"parts {ours} of {len(rows)} of a batch, which others share in part; choose "
            "config.mesh.model so that it divides the devices of a process, or the other way round"
        )
    return index, len(rows) // len(ours)


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Makes global arrays, clips spread over `data` and `fsdp`, from this process's share."""
    sharding = NamedSharding(mesh, BATCH)
    return {
        name: jax.make_array_from_process_local_data(sharding, value)
        for name, value in batch.items()
    }
