"""What makes a program that is too large for its devices fit."""

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator

from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.estimates.prediction import estimate_prediction
from animal_clip_jax.estimates.program import Estimate, TooLargeError
from animal_clip_jax.estimates.targets import Target
from animal_clip_jax.estimates.training_step import estimate_step
from animal_clip_jax.models.description import HAVE_DEPTH
from animal_clip_jax.parallel import mesh as mesh_lib

TRAIN, PREDICT = "train", "predict"
PROGRAMS = {TRAIN: estimate_step, PREDICT: estimate_prediction}
MOST_OFFERED = 3


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing that can be done.

    Attributes:
        flags: what to add to the command line.
        price: what it costs, in words.
        config: with it done.
    """

    flags: str
    price: str
    config: ConfigDict


def total_or_need(
    config: ConfigDict, target: Target, mesh: Mesh, *, program: str = TRAIN
) -> tuple[float, Estimate | None]:
    """Bytes that a program needs of a device, and its estimate if it could be compiled.

    Args:
        program: a key of `PROGRAMS`.
    """
    try:
        estimate = PROGRAMS[program](config, mesh, target.chip)
    except TooLargeError as error:
        return error.needed, None
    return estimate.total, estimate


def changes_that_fit(
    config: ConfigDict,
    target: Target,
    mesh: Mesh,
    *,
    program: str = TRAIN,
    notice: Callable[[str], None],
) -> list[tuple[Change, float]]:
    """The first three of `possible_changes` with which a program fits, each compiled to know.

    Args:
        program: a key of `PROGRAMS`.
        notice: is given the flags of each before it is compiled, which takes minutes.

    Returns:
        changes, and the bytes that the step needs of a device with each.
    """
    assert target.chip is not None
    found = []
    for change in _CHANGES[program](config, mesh):
        notice(change.flags)
        devices = list(mesh.devices.flat)
        changed = mesh_lib.make_mesh(change.config.mesh, devices)
        needed, _ = total_or_need(change.config, target, changed, program=program)
        if needed <= target.chip.memory:
            found.append((change, needed))
        if len(found) == MOST_OFFERED:
            break
    return found


def possible_changes(config: ConfigDict, mesh: Mesh) -> Iterator[Change]:
    """What can be done to train with less memory, the cheapest first.

    The order is a rule (benchmarks/RESULTS.md has figures): bfloat16, which is faster, too, then
    smaller micro-batches, whose products fill the device less, then all but products computed
    again, a tenth to a seventh of the step, then all, a fifth to a third, and then what has to pass
    between the devices.
    """
    shares = mesh.shape["data"] * mesh.shape["fsdp"]
    changed = functools.partial(_changed, config)
    has_blocks = config.model.family in HAVE_DEPTH
    yield from _in_bfloat16(config)
    smaller = [
        changed(f"{factor} times as many micro-batches", accumulation=factor * config.accumulation)
        for factor in (2, 4, 8)
        if config.batch_size % (factor * config.accumulation * shares) == 0
    ]
    yield from smaller[:2]
    if has_blocks and config.model.remat in ("auto", "none"):
        yield changed("computes all but products again", model__remat="dots")
    if has_blocks and config.model.remat != "blocks":
        yield changed("computes every block again", model__remat="blocks")
    yield from smaller[2:]
    if mesh.shape["data"] > 1:
        yield changed(
            "brings the parameters together in every step", mesh__data=1, mesh__fsdp=shares
        )
    most = config.batch_size // shares
    if config.batch_size % shares == 0 and most > config.accumulation:
        yield changed(
            "one clip at a time, every block again" if has_blocks else "one clip at a time",
            accumulation=most,
            **({"model__remat": "blocks"} if has_blocks else {}),
            **({"mesh__data": 1, "mesh__fsdp": shares} if mesh.shape["data"] > 1 else {}),
        )


def possible_changes_of_prediction(config: ConfigDict, mesh: Mesh) -> Iterator[Change]:
    """What can be done to evaluate or predict with less memory, the cheapest first: bfloat16,
    which is faster, too, then fewer clips at once, whose products fill the device less, then what
    has to pass between the devices."""
    changed = functools.partial(_changed, config)
    shares = mesh.shape["data"] * mesh.shape["fsdp"]
    yield from _in_bfloat16(config)
    for factor in (2, 4, 8):
        if config.batch_size % (factor * shares) == 0:
            clips = config.batch_size // factor
            change = changed(f"{factor} times as many batches", evaluation__batch_size=clips)
            change.config.batch_size = clips
            yield change
    if mesh.shape["data"] > 1:
        yield changed("brings the parameters together", mesh__data=1, mesh__fsdp=shares)


def _in_bfloat16(config: ConfigDict) -> Iterator[Change]:
    if config.model.dtype == "float32":
        yield _changed(config, "faster, and less exact", model__dtype="bfloat16")


_CHANGES = {TRAIN: possible_changes, PREDICT: possible_changes_of_prediction}


def _changed(config: ConfigDict, price: str, **fields: str | int) -> Change:
    """With fields set, `model__remat` for `model.remat`."""
    paths = {name.replace("__", "."): value for name, value in fields.items()}
    other = copy.deepcopy(config)
    other.update_from_flattened_dict(paths)
    flags = " ".join(f"--config.{path}={value}" for path, value in paths.items())
    return Change(flags, price, other)
