"""What a run writes into its folder, and what is kept beside it."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from damage import Format
from jax.sharding import NamedSharding, PartitionSpec
from made_calibration import made
from plain_readings import ACTIONS, ANIMALS
from weights_formats import small_arrays

from animal_clip_jax.files import as_path
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.recognition.linear_probe import LinearProbe
from animal_clip_jax.run import calibration, workdir
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.inputs import Input
from animal_clip_jax.run.run_description import RunDescription
from animal_clip_jax.text.encoding import TextFeatures
from animal_clip_jax.text.feature_cache import DamagedEntry, FeatureCache
from animal_clip_jax.training import optimizer
from animal_clip_jax.training.state import create_state
from configs import default


def _make_checkpoint(folder: Path) -> None:
    shapes = {
        "visual.blocks.0.mlp.expand.kernel": (4, 8),
        "graph.layers.0.kernel": (4, 2),
        "text.projection": (4, 4),
        "logit_scale": (),
    }
    random = np.random.default_rng(0)
    values = {path: random.standard_normal(shape).astype("f4") for path, shape in shapes.items()}
    groups = optimizer.parameter_groups(values)
    adamw = optimizer.build_optimizer(
        {path: group for path, group in groups.items() if group != optimizer.FROZEN},
        {optimizer.BASE: 1e-3, optimizer.NEW: 1e-2},
        weight_decay=0.1,
    )
    mesh = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1])
    state, _ = create_state(values, groups, adamw, seed=0, mesh=mesh)
    classes = ClassContext(
        action_features=random.standard_normal((2, 4)).astype(np.float32),
        animal_features=random.standard_normal((2, 4)).astype(np.float32),
        relation=np.eye(2, dtype=np.float32),
    )
    description = RunDescription(
        config={"seed": 3, "data": {"mean": [123.675, 116.28]}},
        action_names=tuple(ACTIONS),
        animal_names=tuple(ANIMALS),
        relation_counts=np.array([[3, 0], [1, 2]]),
    )
    checkpoints = RunCheckpoints(folder)
    checkpoints.save(state, classes, description, 1)
    checkpoints.close()


def _read_checkpoint(folder: Path) -> Any:
    mesh = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1])
    checkpoints, step = RunCheckpoints.open(folder)
    try:
        weights, classes = checkpoints.restore_weights(step, NamedSharding(mesh, PartitionSpec()))
        description = checkpoints.describe(step)
    finally:
        checkpoints.close()
    return (
        {key: np.asarray(value) for key, value in sorted(weights.items())},
        tuple(map(np.asarray, classes)),
        description.to_json(),
    )


def _make_probe(folder: Path) -> None:
    probe = LinearProbe(
        small_arrays()["visual.proj"].T[:, :2], np.zeros(2, "f4"), tuple(ANIMALS), "s"
    )
    (folder / "linear_probe.npz").write_bytes(probe.to_bytes())


def _read_probe(folder: Path) -> Any:
    path = folder / "linear_probe.npz"
    return LinearProbe.from_bytes(path.read_bytes(), str(path))


def _cache(folder: Path) -> FeatureCache:
    return FeatureCache(folder, tower="a", tokenizer="b", arithmetic="c")


def _make_cache(folder: Path) -> None:
    _cache(folder).write(ACTIONS, TextFeatures(small_arrays()["visual.proj"][:2], 1))


def _make_config(folder: Path) -> None:
    workdir.write_config(as_path(folder), default.get_config())


def _read_config(folder: Path) -> Any:
    config = workdir.read_config(as_path(folder))
    return None if config is None else config.to_dict()


def _as_config_says(folder: Path, content: Any) -> bool:
    def agrees(found: Any, written: Any) -> bool:
        if isinstance(written, dict):
            return all(name in found and agrees(found[name], written[name]) for name in written)
        return list(found) == written if isinstance(found, tuple) else found == written

    return agrees(content, json.loads((folder / "config.json").read_text()))


def _make_calibration(folder: Path) -> None:
    thresholds = dict(zip(ACTIONS, (0.25, 0.5), strict=False))
    calibration.write(as_path(folder), made(thresholds=thresholds))


def _make_record(folder: Path) -> None:
    inputs = {"init_from": Input("weights/b16", "00ff")}
    record = workdir.RunRecord(inputs, "1.0", ({"step": 3, "epochs": 1, "to": 2},))
    workdir.write_record(as_path(folder), record)


def _as_record_says(folder: Path, content: Any) -> bool:
    written = json.loads((folder / workdir.RECORD_FILE).read_text())
    return content.to_json() == {name: written[name] for name in content.to_json()}


FORMATS = (
    Format("run checkpoint", _make_checkpoint, _read_checkpoint),
    Format("linear probe", _make_probe, _read_probe),
    Format(
        "kept text features",
        _make_cache,
        lambda folder: _cache(folder).read(ACTIONS),
        refusals=(DamagedEntry,),
    ),
    Format("config.json of a run", _make_config, _read_config, as_written=_as_config_says),
    Format(
        "run.json",
        _make_record,
        lambda folder: workdir.read_record(as_path(folder)),
        as_written=_as_record_says,
    ),
    Format(
        "calibration.json of a run",
        _make_calibration,
        lambda folder: calibration.read(as_path(folder)).to_json(),
    ),
)
