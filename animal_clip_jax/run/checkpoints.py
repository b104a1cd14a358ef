"""Checkpoints of a run: the training state, the class context, and what describes the run, with a
digest of every array."""

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.sharding import NamedSharding, PartitionSpec
from orbax.checkpoint.checkpoint_managers import preservation_policy

from animal_clip_jax.errors import DamagedError, MissingFileError, UserError, brief
from animal_clip_jax.files import (
    absolute,
    check_no_pipes,
    check_space,
    is_file,
    read_json_object,
    write_whole,
)
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.run.checkpoint_items import (
    array_digests,
    check_items,
    class_context_of,
    state_items,
)
from animal_clip_jax.run.run_description import RunDescription
from animal_clip_jax.training.state import TrainState

EVALUATED_FILE = "evaluated.json"
_ARRAYS = ("parameters", "averaged", "progress", "classes")
_OF_SOME_RUNS = ("averaged", "classes")


class _KeepBest:
    """Preserves the best checkpoint, whose step `best_step` gives at the time."""

    def __init__(self, best_step):
        self._best_step = best_step

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        best = self._best_step([checkpoint.step for checkpoint in checkpoints])
        return [checkpoint.step == best for checkpoint in checkpoints]


class RunCheckpoints:
    """The checkpoints of one workdir: the newest `keep`, and the best.

    Saving is asynchronous and atomic: a checkpoint exists once it is complete.

    Args:
        workdir: local or remote.
        tidies: removes what an earlier run left unfinished; only for the run that saves here, as
            it would also be what another is saving at the moment.
        is_written: whether this process writes `evaluated.json`.

    Raises:
        UserError: a checkpoint could not be saved; raised by what comes after it, as saving is
            asynchronous. Names the last good one. Or one cannot be read; names its folder.
    """

    def __init__(
        self,
        workdir: str | epath.PathLike,
        *,
        keep: int = 3,
        tidies: bool = False,
        is_written: bool = True,
    ):
        self.workdir = absolute(workdir)
        self.directory = self.workdir / "checkpoints"
        self._is_written = is_written
        check_no_pipes(self.directory)
        try:
            self._manager = ocp.CheckpointManager(
                self.directory,
                options=ocp.CheckpointManagerOptions(
                    create=True,
                    cleanup_tmp_directories=tidies,
                    preservation_policy=preservation_policy.AnyPreservationPolicy(
                        [preservation_policy.LatestN(keep), _KeepBest(self._best_of)]
                    ),
                ),
                item_handlers={
                    **{item: ocp.StandardCheckpointHandler() for item in _ARRAYS},
                    "description": ocp.JsonCheckpointHandler(),
                    "metrics": ocp.JsonCheckpointHandler(),
                },
            )
        except Exception as error:  # Orbax raises what it trips over, of any type
            damaged = _without_a_time(self.directory)
            if damaged is None:
                raise UserError(f"{self.directory} cannot be opened: {brief(error)}") from error
            raise DamagedError(
                f"{damaged} cannot be read ({brief(error)}); remove this folder to go on with the "
                "other steps"
            ) from error
        self._evaluated = self._read_evaluated()

    @classmethod
    def open(
        cls, workdir: str | epath.PathLike, which: str | int = "latest"
    ) -> tuple["RunCheckpoints", int]:
        """The checkpoints of a workdir that has some, and the step of one of them.

        Args:
            which: "latest"; "best", that of the highest figure among those evaluated; or a step.

        Raises:
            MissingFileError: it has none.
            UserError: `which` is something else.
        """
        if which not in ("latest", "best") and not str(which).isdecimal():
            raise UserError(
                f"config.evaluation.checkpoint is {which!r}; expected 'latest', 'best' or a step"
            )
        if not (absolute(workdir) / "checkpoints").is_dir():
            raise MissingFileError(f"{workdir}: no checkpoints here; train first")
        checkpoints = cls(workdir)
        if which == "latest":
            step = checkpoints.latest_step()
        elif which == "best":
            step = checkpoints.best_step()
            if step is None:
                raise MissingFileError(
                    f"{workdir}: no checkpoint here is the best: none was evaluated on validation "
                    "clips (config.data.validation_split or validation_share, after every "
                    "config.evaluation.every_epochs epochs); take 'latest'"
                )
        else:
            step = int(which) if int(which) in checkpoints.steps() else None
        if step is None:
            found = ", ".join(map(str, checkpoints.steps())) or "none"
            raise MissingFileError(
                f"{workdir}: no complete {which} checkpoint here (complete ones: {found}); train "
                "first"
            )
        return checkpoints, step

    def steps(self) -> list[int]:
        """The steps of all complete checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint, None if there is none."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """The step of the best checkpoint among those evaluated for that, None without one."""
        return self._best_of(self.steps())

    def _best_of(self, steps: Sequence[int]) -> int | None:
        evaluated = {step: self._evaluated[step] for step in steps if step in self._evaluated}
        return max(evaluated, key=lambda step: (evaluated[step], step), default=None)

    def best_figure(self) -> float | None:
        """The figure of the best checkpoint, None without one."""
        best = self.best_step()
        return None if best is None else self._evaluated[best]

    def is_evaluated(self, step: int) -> bool:
        """Whether the figure of a step is known."""
        return step in self._evaluated

    def would_be_best(self, figure: float) -> bool:
        """Whether a checkpoint with this figure would be the best one."""
        best = self.best_step()
        return best is None or figure >= self._evaluated[best]

    def record_figure(self, step: int, figure: float) -> None:
        """Notes the figure of the checkpoint of a step, by which the best one is chosen.

        Args:
            figure: higher is better.
        """
        self._evaluated[step] = figure
        if self._is_written:
            content = {str(step): value for step, value in sorted(self._evaluated.items())}
            write_whole(self.workdir / EVALUATED_FILE, json.dumps(content, indent=2) + "\n")

    def _read_evaluated(self) -> dict[int, float]:
        path = self.workdir / EVALUATED_FILE
        if path.exists():
            return _evaluated_in(path)
        # A run older than this file kept the figures within its checkpoints.
        figures = {}
        for step in self.steps():
            file = self.directory / str(step) / "metrics" / "metrics"
            if is_file(file):
                with self._reading(step):
                    figures[step] = float(json.loads(file.read_text())["metric"])
        return figures

    def save(
        self,
        state: TrainState,
        classes: ClassContext | None,
        description: RunDescription,
        step: int,
    ) -> None:
        """Starts saving; a checkpoint of that step that exists already is kept.

        Args:
            classes: None for a model that is trained without any; one of a model that reads no
                texts, see `class_context.without_texts`, is not saved.

        Raises:
            UserError: the disk is too full; nothing has been written. Or what was saved before
                could not be.
        """
        if step == self.latest_step():
            return
        trees = state_items(state)
        if classes is not None and classes.action_features.size:
            trees["classes"] = {
                name: array for name, array in classes._asdict().items() if array.size
            }
        items = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
        description = dataclasses.replace(description, digests=array_digests(trees), step=step)
        args = ocp.args.Composite(**items, description=ocp.args.JsonSave(description.to_json()))
        self._check_space(sum(leaf.nbytes for leaf in jax.tree.leaves((state, classes))))
        with self._saving():
            self._manager.save(step, args=args)

    def describe(self, step: int) -> RunDescription:
        """What the checkpoint of a step says about itself."""
        with self._reading(step):
            return self._described(step)

    def _described(self, step: int) -> RunDescription:
        args = ocp.args.Composite(description=ocp.args.JsonRestore())
        described = RunDescription.from_json(self._manager.restore(step, args=args).description)
        if described.step not in (None, step):
            raise DamagedError(f"it is the checkpoint of step {described.step} by another name")
        return described

    def restore(
        self, step: int, shapes: TrainState, shardings: TrainState
    ) -> tuple[TrainState, ClassContext | None]:
        """Reads a checkpoint onto the devices.

        Args:
            shapes: of the state: `jax.ShapeDtypeStruct`s.
            shardings: of the state, in the same structure.

        Returns:
            the state, and the class context as NumPy arrays, None where none was saved.

        Raises:
            UserError: the checkpoint holds other names or shapes; names the first. Or it is
                damaged; names it, and one that is intact.
        """
        self._check_shapes(step, shapes.values())
        mesh = jax.tree.leaves(shardings)[0].mesh
        replicated = NamedSharding(mesh, PartitionSpec())
        state = jax.tree.map(
            lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            shapes,
            shardings,
        )
        args = {name: ocp.args.StandardRestore(tree) for name, tree in state_items(state).items()}
        with self._reading(step):
            classes = self._held(step, "classes", replicated)
            if classes is not None:
                args["classes"] = ocp.args.StandardRestore(classes)
            restored = self._manager.restore(step, args=ocp.args.Composite(**args))
            check_items(restored, args, self._described(step), needed=("classes",))
        return (
            TrainState(
                trained={path: restored.parameters[path] for path in state.trained},
                frozen={path: restored.parameters[path] for path in state.frozen},
                statistics={path: restored.parameters[path] for path in state.statistics},
                averaged=restored.averaged if state.averaged else {},
                **restored.progress,
            ),
            None
            if classes is None
            else class_context_of(jax.tree.map(np.asarray, dict(restored.classes))),
        )

    def _check_shapes(self, step: int, arrays: Mapping[str, Any]) -> None:
        with self._reading(step):
            parameters = self._held(step, "parameters")
        held = {name: f"has shape {leaf.shape}" for name, leaf in parameters.items()}
        expected = {name: f"has shape {array.shape}" for name, array in arrays.items()}
        for name in sorted(held.keys() | expected.keys()):
            found, wanted = held.get(name, "is missing"), expected.get(name, "is not there")
            if found != wanted:
                raise UserError(
                    f"{self.directory / str(step)}: {name} {found}; this run's {wanted}: the "
                    "checkpoint is of another model"
                )

    def restore_weights(self, step: int, sharding) -> tuple[Parameters, ClassContext | None]:
        """Reads what evaluation needs: the parameters (their averages where there are some) and
        the class context, None where none was saved.

        Args:
            sharding: of all arrays.
        """
        with self._reading(step):
            args = {
                name: ocp.args.StandardRestore(tree)
                for name in ("parameters", "averaged", "classes")
                if (tree := self._held(step, name, sharding)) is not None
            }
            restored = self._manager.restore(step, args=ocp.args.Composite(**args))
            check_items(
                restored, args, self._described(step), needed=("parameters", "averaged", "classes")
            )
        averaged = restored.averaged if "averaged" in args else {}
        classes = class_context_of(dict(restored.classes)) if "classes" in args else None
        return {**restored.parameters, **averaged}, classes

    def _held(self, step: int, item: str, sharding: Any = None) -> Any:
        """The arrays of an item of a checkpoint, as targets to read them into; None where it has no
        such item, as some runs keep no averages or class context.

        Of one item: Orbax would look at every array of every item, the optimizer's too.

        Args:
            sharding: of all arrays.
        """
        folder = self.directory / str(step) / item
        if item in _OF_SOME_RUNS and not folder.is_dir():
            return None
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            ocp.StandardCheckpointHandler().metadata(folder).tree,
        )

    def wait(self) -> None:
        """Returns once everything that was saved is on disk."""
        with self._saving():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and releases the manager's threads."""
        with self._saving():
            self._manager.close()

    def _check_space(self, needed: int) -> None:
        try:
            check_space(self.directory, needed, "a checkpoint")
        except UserError as error:
            raise UserError(f"{error}; {self._last_good()}") from error

    def _last_good(self) -> str:
        last = self.latest_step()
        return "there is no good one" if last is None else f"the last good one is of step {last}"

    @contextlib.contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax raises what its storage raises, of any type
            raise UserError(
                f"{self.directory}: a checkpoint could not be saved, {self._last_good()}: "
                f"{brief(error)}"
            ) from error

    @contextlib.contextmanager
    def _reading(self, step: int) -> Iterator[None]:
        folder = self.directory / str(step)
        try:
            yield
        except Exception as error:  # Orbax raises what its storage raises, of any type
            is_damaged = isinstance(error, DamagedError) or not isinstance(error, UserError)
            if not is_damaged:
                raise UserError(f"{folder}: {error}") from error
            intact = self._newest_intact(before=step)
            instead = (
                "there is no older checkpoint"
                if intact is None
                else f"that of step {intact} is intact: remove this folder to go on from there, or "
                f"use it with config.evaluation.checkpoint={intact}"
            )
            reason = str(error) if isinstance(error, DamagedError) else brief(error)
            raise DamagedError(
                f"{folder} cannot be read, some of it is damaged or missing; {instead} ({reason})"
            ) from error

    def _newest_intact(self, *, before: int) -> int | None:
        """The newest checkpoint of an earlier step of which everything can be read."""
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        for step in reversed([step for step in self.steps() if step < before]):
            try:
                args = {
                    name: ocp.args.StandardRestore(tree)
                    for name in _ARRAYS
                    if (tree := self._held(step, name, device)) is not None
                }
                restored = self._manager.restore(step, args=ocp.args.Composite(**args))
                check_items(restored, args, self._described(step), needed=_ARRAYS)
            except Exception:  # damage comes as whatever Orbax and tensorstore trip over
                continue
            return step
        return None


def _without_a_time(directory: epath.Path) -> epath.Path | None:
    """The folder of a step that does not say when it was saved, which Orbax wants to know of all
    before it opens any."""
    if not directory.is_dir():
        return None
    for step in ocp.path.step.standard_name_format().find_all(directory):
        try:
            _ = step.commit_timestamp
        except Exception:  # as Orbax reads it; of any type
            return step.path
    return None


def _evaluated_in(path: epath.Path) -> dict[int, float]:
    """The figures of a file, by step."""
    mend = f"delete {path}, and no checkpoint is the best"
    try:
        content = read_json_object(path)
    except UserError as error:
        raise UserError(f"{error}; {mend}") from error
    for step, figure in content.items():
        is_number = isinstance(figure, int | float) and not isinstance(figure, bool)
        if not re.fullmatch(r"[0-9]{1,18}", step) or not (is_number and abs(figure) <= 1):
            raise UserError(
                f"{path} is damaged: step {step!r} has the figure {figure!r}, expected a number of "
                f"0 to 1; {mend}"
            )
    return {int(step): float(figure) for step, figure in content.items()}
