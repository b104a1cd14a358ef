"""Checkpoints of a run: the training state, the class context, and what describes the run."""

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

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
        git_revision: of the code, "" where it is not in a repository.
    """

    config: dict[str, Any]
    action_names: tuple[str, ...]
    animal_names: tuple[str, ...]
    relation_counts: np.ndarray
    git_revision: str = ""

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries, lists, texts and numbers."""
        return {
            "config": self.config,
            "action_names": list(self.action_names),
            "animal_names": list(self.animal_names),
            "relation_counts": self.relation_counts.tolist(),
            "git_revision": self.git_revision,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "RunDescription":
        """The inverse of `to_json`."""
        return cls(
            config=content["config"],
            action_names=tuple(content["action_names"]),
            animal_names=tuple(content["animal_names"]),
            relation_counts=np.asarray(content["relation_counts"], np.int64),
            git_revision=content["git_revision"],
        )


_ARRAYS = ("parameters", "averaged", "progress", "classes")
_BEST = "metric"


class RunCheckpoints:
    """The checkpoints of one workdir: the newest `keep`, and the best.

    Saving is asynchronous and atomic: a checkpoint exists once it is complete.

    Args:
        tidies: removes what an earlier run left unfinished; only for the run that saves here, as
            it would also be what another is saving at the moment.

    Raises:
        OSError: a checkpoint could not be saved; raised by what comes after it, as saving is
            asynchronous. Names the last good one.
        ValueError: a checkpoint cannot be read; names its folder.
    """

    def __init__(self, workdir: str | pathlib.Path, *, keep: int = 3, tidies: bool = False):
        self.directory = pathlib.Path(workdir).absolute() / "checkpoints"
        self._manager = ocp.CheckpointManager(
            self.directory,
            options=ocp.CheckpointManagerOptions(
                create=True,
                cleanup_tmp_directories=tidies,
                best_fn=lambda metrics: metrics[_BEST],
                preservation_policy=preservation_policy.AnyPreservationPolicy(
                    [
                        preservation_policy.LatestN(keep),
                        preservation_policy.BestN(
                            get_metric_fn=lambda metrics: metrics[_BEST],
                            n=1,
                            keep_checkpoints_without_metrics=False,
                        ),
                    ]
                ),
            ),
            item_handlers={
                **{item: ocp.StandardCheckpointHandler() for item in _ARRAYS},
                "description": ocp.JsonCheckpointHandler(),
            },
        )

    @classmethod
    def open(
        cls, workdir: str | pathlib.Path, which: str = "latest"
    ) -> tuple["RunCheckpoints", int]:
        """The checkpoints of a workdir that has some, and the step of one of them.

        Args:
            which: "latest", or "best": that of the highest metric among those evaluated.

        Raises:
            FileNotFoundError: it has none.
            ValueError: `which` is something else.
        """
        if which not in ("latest", "best"):
            raise ValueError(
                f"config.evaluation.checkpoint is {which!r}; expected 'latest' or 'best'"
            )
        if not (pathlib.Path(workdir) / "checkpoints").is_dir():
            raise FileNotFoundError(
                f"{workdir}: no checkpoints here; train first, with --mode=train"
            )
        checkpoints = cls(workdir)
        step = checkpoints.latest_step() if which == "latest" else checkpoints.best_step()
        if step is None:
            raise FileNotFoundError(
                f"{workdir}: no complete {which} checkpoint here; train first, with --mode=train"
            )
        return checkpoints, step

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint, None if there is none."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """The step of the best checkpoint among those saved with a metric, None without one."""
        evaluated = {}
        for step in self._manager.all_steps():
            with self._reading(step):
                metrics = self._manager.metrics(step)
            if metrics:
                evaluated[step] = metrics
        return max(evaluated, key=lambda step: (evaluated[step][_BEST], step), default=None)

    def save(
        self,
        state: TrainState,
        classes: ClassContext,
        description: RunDescription,
        step: int,
        *,
        metric: float | None = None,
    ) -> None:
        """Starts saving; a checkpoint of that step that exists already is kept.

        Args:
            metric: of the evaluation at this step, if there was one; higher is better.

        Raises:
            OSError: the disk is too full; nothing has been written. Or what was saved before could
                not be.
        """
        if step == self.latest_step():
            return
        items = {name: ocp.args.StandardSave(tree) for name, tree in _items(state, classes).items()}
        args = ocp.args.Composite(**items, description=ocp.args.JsonSave(description.to_json()))
        self._check_space(sum(leaf.nbytes for leaf in jax.tree.leaves((state, classes))))
        with self._saving():
            self._manager.save(step, args=args, metrics=None if metric is None else {_BEST: metric})

    def describe(self, step: int) -> RunDescription:
        """What the checkpoint of a step says about itself."""
        args = ocp.args.Composite(description=ocp.args.JsonRestore())
        with self._reading(step):
            return RunDescription.from_json(self._manager.restore(step, args=args).description)

    def restore(
        self, step: int, state: TrainState, classes: ClassContext
    ) -> tuple[TrainState, ClassContext]:
        """Reads a checkpoint onto the devices.

        Args:
            state, classes: arrays or `jax.ShapeDtypeStruct`s with the shapes, dtypes and shardings
                to restore to.

        Raises:
            ValueError: the checkpoint holds other names or shapes; names the first.
        """
        self._check_shapes(step, "parameters", {**state.trained, **state.frozen})
        self._check_shapes(step, "classes", classes._asdict())
        args = {
            name: ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, tree))
            for name, tree in _items(state, classes).items()
        }
        with self._reading(step):
            restored = self._manager.restore(step, args=ocp.args.Composite(**args))
        return (
            TrainState(
                trained={path: restored.parameters[path] for path in state.trained},
                frozen={path: restored.parameters[path] for path in state.frozen},
                averaged=restored.averaged if state.averaged else {},
                **restored.progress,
            ),
            ClassContext(**restored.classes),
        )

    def _check_shapes(self, step: int, item: str, arrays: Mapping[str, Any]) -> None:
        with self._reading(step):
            metadata = dict(self._manager.item_metadata(step)[item])
        held = {name: f"has shape {leaf.shape}" for name, leaf in metadata.items()}
        expected = {name: f"has shape {array.shape}" for name, array in arrays.items()}
        for name in sorted(held.keys() | expected.keys()):
            found, wanted = held.get(name, "is missing"), expected.get(name, "is not there")
            if found != wanted:
                raise ValueError(
                    f"{self.directory / str(step)}: {name} {found}; this run's {wanted}: the "
                    "checkpoint is of another model or data set"
                )

    def restore_weights(self, step: int, sharding) -> tuple[Parameters, ClassContext]:
        """Reads what evaluation needs: the parameters (their averages where there are some) and
        the class context.

        Args:
            sharding: of all arrays.
        """

        def target(leaf):
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

        with self._reading(step):
            metadata = self._manager.item_metadata(step)
            args = {
                name: ocp.args.StandardRestore(jax.tree.map(target, dict(metadata[name])))
                for name in ("parameters", "averaged", "classes")
                if name != "averaged" or metadata.get(name) is not None
            }
            restored = self._manager.restore(step, args=ocp.args.Composite(**args))
        averaged = restored.averaged if "averaged" in args else {}
        return {**restored.parameters, **averaged}, ClassContext(**restored.classes)

    def wait(self) -> None:
        """Returns once everything that was saved is on disk."""
        with self._saving():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and releases the manager's threads."""
        with self._saving():
            self._manager.close()

    def _check_space(self, needed: int) -> None:
        # Orbax makes the folder again where it was deleted.
        existing = self.directory if self.directory.is_dir() else self.directory.parent
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise OSError(
                f"{self.directory}: a checkpoint needs {needed / 2**20:.1f} MiB, but the disk has "
                f"{free / 2**20:.1f} MiB left; {self._last_good()}"
            )

    def _last_good(self) -> str:
        last = self.latest_step()
        return "there is no good one" if last is None else f"the last good one is of step {last}"

    @contextlib.contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax raises what its storage raises, of any type
            raise OSError(
                f"{self.directory}: a checkpoint could not be saved, {self._last_good()}: "
                f"{_brief(error)}"
            ) from error

    @contextlib.contextmanager
    def _reading(self, step: int) -> Iterator[None]:
        folder = self.directory / str(step)
        try:
            yield
        except Exception as error:  # as above
            raise ValueError(
                f"{folder} cannot be read, some of it is damaged or missing; remove this folder to "
                f"go on from the checkpoint before it: {_brief(error)}"
            ) from error


def _brief(error: Exception) -> str:
    """One line of an error; tensorstore appends pages of its settings."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}{'…' if len(text) > 300 else ''}"


def _items(state: TrainState, classes: ClassContext) -> dict[str, Any]:
    """What is saved, in parts that can be read by themselves."""
    items: dict[str, Any] = {
        "parameters": {**state.trained, **state.frozen},
        "progress": {"step": state.step, "optimizer": state.optimizer, "rng": state.rng},
        "classes": classes._asdict(),
    }
    # Orbax saves no empty trees.
    return {**items, "averaged": state.averaged} if state.averaged else items
