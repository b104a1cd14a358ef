"""Texts about a run: its parameters, its opening and closing lines."""

import math
import os
import shutil
from collections.abc import Sequence

import jax
from etils import epath
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.files import is_remote
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.run import assembly
from animal_clip_jax.run.data import TrainingData
from animal_clip_jax.tables import format_table
from animal_clip_jax.training.optimizer import BASE, DECAY_ONLY, FROZEN, NEW, STATISTIC
from animal_clip_jax.training.state import TrainState

_GROUPS_IN_WORDS = {
    FROZEN: "stays as it is",
    BASE: "trained at config.optimizer.learning_rate",
    NEW: "trained at that rate times config.optimizer.new_multiplier: CLIP does not bring it",
    DECAY_ONLY: "has no gradient, in this model; weight decay alone changes it",
    STATISTIC: "of batch normalisation: a running mean of what the steps see",
}


def parameter_table(values: Parameters, groups: dict[str, str]) -> str:
    """One line a parameter: its size, shape, sharding and optimizer group, which is explained."""
    rows = [
        {
            "parameter": path,
            "values": math.prod(value.shape),
            "shape": " × ".join(map(str, value.shape)) or "scalar",
            "sharding": str(tuple(value.sharding.spec)) if value.ndim else "()",
            "group": groups[path],
        }
        for path, value in sorted(values.items())
    ]
    held = {groups[path] for path in values}
    explained = [f"  {name:<12}{words}" for name, words in _GROUPS_IN_WORDS.items() if name in held]
    return "\n".join(
        [
            format_table(rows),
            "",
            "sharding: the axis of the devices that each dimension is split over, () for none",
            "group: how the parameter is trained",
            *explained,
        ]
    )


def part_table(family: str, trained: Parameters, frozen: Parameters) -> str:
    """How many values each part of the model has, trained and frozen."""
    parts: dict[str, dict[str, int]] = {}
    for kind, values in (("trained", trained), (FROZEN, frozen)):
        for path, value in values.items():
            part = parts.setdefault(path.partition(".")[0], {"trained": 0, FROZEN: 0})
            part[kind] += math.prod(value.shape)
    total = {kind: sum(part[kind] for part in parts.values()) for kind in ("trained", FROZEN)}
    rows = [{"part": name, **counts} for name, counts in sorted(parts.items())]
    return format_table([*rows, {"part": "all", **total}], title=f"{family}, values by part")


def opening(config: ConfigDict, data: TrainingData, state: TrainState, mesh: Mesh) -> str:
    """What is trained, on what, and where."""
    trained, frozen = (
        sum(math.prod(value.shape) for value in values.values()) / 1e6
        for values in (state.trained, state.frozen)
    )
    info = data.info
    clips = [f"{len(data.train.index)} clips to train on"]
    if data.validation not in (None, data.test):
        clips.append(f"{len(data.validation.index)} to validate on")
    clips.append(f"{len(data.test.index)} to test on")
    processes = jax.process_count()
    devices = f"{mesh.size} {mesh.devices.flat[0].device_kind} device{'s' * (mesh.size > 1)}"
    note = ""
    if info.multi_label and assembly.outputs(config) == "softmax":
        note = (
            f"\nSome clips have several actions, and the loss {config.loss} shares 1 among all; "
            "--config.loss=binary_cross_entropy judges each by itself"
        )
    return (
        f"{config.model.family} of {trained + frozen:.1f} million parameters, "
        f"{trained:.1f} million of them trained\n"
        f"{len(info.action_names)} actions, {len(info.animal_names)} animals: "
        f"{', '.join(clips)}\n{devices}{f', {processes} processes' * (processes > 1)}; "
        f"seed {config.seed}{note}"
    )


def closing(workdir: epath.Path, steps: Sequence[int], best: int | None, result: epath.Path) -> str:
    """Where a training has written what.

    Args:
        steps: of the checkpoints that are there.
        best: the step of the best one, None if none is chosen.
        result: the folder of its evaluation.
    """
    chosen = "" if best is None else f"; step {best} is the best"
    return (
        f"In {shown(workdir)}:\n"
        f"  checkpoints/  of step{'s' * (len(steps) > 1)} {', '.join(map(str, steps))}{chosen}\n"
        f"  {result.relative_to(workdir)}/  every figure, and each action\n"
        "  README.txt  says what else is there"
    )


def shown(path: epath.Path) -> str:
    """A path as it is typed: from the current folder, where it is in there."""
    if is_remote(path):
        return str(path)
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def screen_width() -> int:
    """Columns of the terminal, or of $COLUMNS; 80 where there is neither."""
    return shutil.get_terminal_size((80, 24)).columns
