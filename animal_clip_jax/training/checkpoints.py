"""Checkpoints of a run: the training state, the class context, and what describes the run."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from animal_clip_jax.models.classes import ClassContext
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.training.step import TrainState


@dataclasses.dataclass(frozen=True)
class RunDescription:
    """What a run's checkpoint says about itself, as JSON.

    Attributes:
        config: the configuration, nested dictionaries.
        action_names, animal_names: labels in the order of the model's outputs and inputs.
        relation_counts: (animals, actions) training clips of every pair.
    """

    config: dict[str, Any]
    action_names: tuple[str, ...]
    animal_names: tuple[str, ...]
    relation_counts: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries, lists, texts and numbers."""
        return {
            "config": self.config,
            "action_names": list(self.action_names),
            "animal_names": list(self.animal_names),
            "relation_counts": self.relation_counts.tolist(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "RunDescription":
        """The inverse of `to_json`."""
        return cls(
            config=content["config"],
            action_names=tuple(content["action_names"]),
            animal_names=tuple(content["animal_names"]),
            relation_counts=np.asarray(content["relation_counts"], np.int64),
        )


class RunCheckpoints:
    """The checkpoints of one workdir, newest last; older ones than `keep` are removed.

    Saving is asynchronous and atomic: a checkpoint exists once it is complete.
    """

    def __init__(self, workdir: str | pathlib.Path, *, keep: int = 3):
        self.directory = pathlib.Path(workdir).absolute() / "checkpoints"
        arrays = ("parameters", "progress", "classes")
        self._manager = ocp.CheckpointManager(
            self.directory,
            options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
            item_handlers={
                **{item: ocp.StandardCheckpointHandler() for item in arrays},
                "description": ocp.JsonCheckpointHandler(),
            },
        )

    @classmethod
    def open(cls, workdir: str | pathlib.Path) -> tuple["RunCheckpoints", int]:
        """The checkpoints of a workdir that has some, and the step of the newest.

        Raises:
            FileNotFoundError: it has none.
        """
        if not (pathlib.Path(workdir) / "checkpoints").is_dir():
            raise FileNotFoundError(
                f"{workdir}: no checkpoints here; train first, with --mode=train"
            )
        checkpoints = cls(workdir)
        step = checkpoints.latest_step()
        if step is None:
            raise FileNotFoundError(f"{workdir}: no complete checkpoint here; train first")
        return checkpoints, step

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint, None if there is none."""
        return self._manager.latest_step()

    def save(
        self, state: TrainState, classes: ClassContext, description: RunDescription, step: int
    ) -> None:
        """Starts saving; a checkpoint of that step that exists already is kept."""
        if step == self.latest_step():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                parameters=ocp.args.StandardSave({**state.trained, **state.frozen}),
                progress=ocp.args.StandardSave(_progress(state)),
                classes=ocp.args.StandardSave(classes._asdict()),
                description=ocp.args.JsonSave(description.to_json()),
            ),
        )

    def describe(self, step: int) -> RunDescription:
        """What the checkpoint of a step says about itself."""
        args = ocp.args.Composite(description=ocp.args.JsonRestore())
        return RunDescription.from_json(self._manager.restore(step, args=args).description)

    def restore(
        self, step: int, state: TrainState, classes: ClassContext
    ) -> tuple[TrainState, ClassContext]:
        """Reads a checkpoint onto the devices.

        Args:
            state, classes: arrays or `jax.ShapeDtypeStruct`s with the shapes, dtypes and shardings
                to restore to.

        Raises:
            ValueError: the checkpoint holds other names or shapes.
        """
        targets = {
            "parameters": {**state.trained, **state.frozen},
            "progress": _progress(state),
            "classes": classes._asdict(),
        }
        args = {
            name: ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, target))
            for name, target in targets.items()
        }
        restored = self._manager.restore(step, args=ocp.args.Composite(**args))
        trained = {path: restored.parameters[path] for path in state.trained}
        frozen = {path: restored.parameters[path] for path in state.frozen}
        return (
            TrainState(trained=trained, frozen=frozen, **restored.progress),
            ClassContext(**restored.classes),
        )

    def restore_weights(self, step: int, sharding) -> tuple[Parameters, ClassContext]:
        """Reads the parameters and the class context alone, with one sharding for all arrays."""

        def target(metadata):
            return jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
                dict(metadata),
            )

        metadata = self._manager.item_metadata(step)
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                parameters=ocp.args.StandardRestore(target(metadata.parameters)),
                classes=ocp.args.StandardRestore(target(metadata.classes)),
            ),
        )
        return restored.parameters, ClassContext(**restored.classes)

    def wait(self) -> None:
        """Returns once everything that was saved is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and releases the manager's threads."""
        self._manager.wait_until_finished()
        self._manager.close()


def _progress(state: TrainState) -> dict[str, Any]:
    """What a state holds beside the parameters."""
    return {"step": state.step, "optimizer": state.optimizer, "rng": state.rng}
