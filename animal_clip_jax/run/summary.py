"""Texts about a run: its parameters, its opening lines."""

import math

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.run.data import TrainingData
from animal_clip_jax.tables import format_table
from animal_clip_jax.training.optimizer import FROZEN
from animal_clip_jax.training.step import TrainState


def parameter_table(values: Parameters, groups: dict[str, str]) -> str:
    """One line a parameter: its size, shape, sharding and optimizer group."""
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
    return format_table(rows)


def opening(config: ConfigDict, data: TrainingData, state: TrainState, mesh: Mesh) -> str:
    """What is trained, by part of the model, on what, and where."""
    parts: dict[str, dict[str, int]] = {}
    for kind, values in (("trained", state.trained), (FROZEN, state.frozen)):
        for path, value in values.items():
            part = parts.setdefault(path.partition(".")[0], {"trained": 0, FROZEN: 0})
            part[kind] += math.prod(value.shape)
    total = {kind: sum(part[kind] for part in parts.values()) for kind in ("trained", FROZEN)}
    rows = [{"part": name, **counts} for name, counts in sorted(parts.items())]
    table = format_table(
        [*rows, {"part": "all", **total}],
        title=f"{config.model.family}, parameters (each of them in parameters.txt)",
    )
    info = data.info
    held_out = "" if data.validation is None else f", {len(data.validation.index)} to validate on"
    return (
        f"{table}\n\n{len(info.action_names)} actions, {len(info.animal_names)} animals, "
        f"{len(data.train.index)} clips to train on{held_out}; {mesh.size} device(s), "
        f"{jax.process_count()} process(es); seed {config.seed}"
    )
