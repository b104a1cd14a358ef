"""The steps of a training, whatever is trained: taken, watched, logged, saved, and stopped."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import optax

from animal_clip_jax.errors import Interrupted
from animal_clip_jax.parallel import accelerator
from animal_clip_jax.parallel.compile_ahead import Compiling
from animal_clip_jax.parallel.distributed import on_all
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.interruption import InterruptionNotice
from animal_clip_jax.run.metrics_log import MetricsLog
from animal_clip_jax.run.profile import Profile
from animal_clip_jax.run.progress import Screen, TrainingProgress
from animal_clip_jax.run.tensorboard import TensorBoard
from animal_clip_jax.run.watch import StepWatch
from animal_clip_jax.training.state import TrainState


class Batch(NamedTuple):
    """What a step is given.

    Attributes:
        arrays: on the devices, by name.
        ids: of what is in it, as a person would look for it; of this process's share.
    """

    arrays: dict[str, jax.Array]
    ids: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Steps:
    """Which steps are taken, and after how many of them something is done.

    Attributes:
        start, total: the steps from one to the other are taken.
        a_round: steps after which `after_round` is asked, such as those of an epoch.
        log_every: steps between two lines of figures.
    """

    start: int
    total: int
    a_round: int
    log_every: int


@dataclasses.dataclass(frozen=True)
class TrainingLoop:
    """Takes steps, and has all else that goes with them done.

    Attributes:
        steps: which.
        rate: the learning rate by step, for the figures.
        micro_batches: that a step computes one after the other.
        save: begins to save a state after a step.
        after_round: is given the state after a round and its step, and says whether it is saved;
            raises Interrupted where the process was asked to stop meanwhile.
    """

    steps: Steps
    rate: optax.Schedule
    screen: Screen
    notice: InterruptionNotice
    progress: TrainingProgress
    watch: StepWatch
    profile: Profile
    log: MetricsLog
    tensorboard: TensorBoard
    checkpoints: RunCheckpoints
    save: Callable[[TrainState, int], None]
    after_round: Callable[[TrainState, int], bool]
    micro_batches: int = 1

    def run(
        self,
        compiling: Compiling | None,
        state: TrainState,
        batches: Iterator[Batch],
        *constants: Any,
    ) -> TrainState:
        """Takes the steps, and saves the last state.

        Args:
            compiling: gives (state, arrays, *constants) → (state, metrics), see
                `parallel.compile_ahead`; None if no step is left. The metrics, "loss" among them,
                must stay finite.
            state: before the first step; given up.
            batches: at least one for each step.
            constants: what is the same in all steps.

        Returns:
            the state after the last step.

        Raises:
            DivergenceError: a figure is not finite; no checkpoint was written after it.
            Interrupted: the process was asked to stop, and has saved its state.
            UserError: the figures or a checkpoint cannot be written.
        """
        steps, compiled_step = self.steps, None
        for step in range(steps.start + 1, steps.total + 1):
            batch = next(batches)
            if compiled_step is None:
                assert compiling is not None
                compiled_step = self._compiled(compiling)
            self.profile.before(step)
            state, metrics = compiled_step(state, batch.arrays, *constants)
            self.watch.add(step, metrics, batch.ids)
            self.progress.dispatched(step, metrics["loss"])
            self.profile.after(step, state)
            is_last = step == steps.total
            if step % steps.log_every == 0 or is_last:
                self._record(step)
            is_due = is_last
            is_round = step % steps.a_round == 0
            is_interrupted = self.notice.is_due()
            if not (is_round or is_last or is_interrupted):
                continue
            self.watch.check()
            if is_round and not is_interrupted:
                try:
                    is_due |= self.after_round(state, step)
                except Interrupted:
                    is_interrupted = True
            if is_due or is_interrupted:
                self.save(state, step)
            self.progress.restart_clock(step)
            if is_interrupted:
                self.checkpoints.wait()
                raise Interrupted(
                    f"stopped; step {step} of {steps.total} is saved in "
                    f"{self.checkpoints.workdir}: run the same command again to go on"
                )
        self.checkpoints.wait()
        self.progress.finish()
        return state

    def _compiled(self, compiling: Compiling) -> jax.stages.Compiled:
        self.screen.doing("compiling the training step")
        compiled_step = compiling.result()
        self.screen.doing("")
        ideal = accelerator.ideal_seconds(compiled_step, micro_batches=self.micro_batches)
        self.progress.set_ideal(ideal)
        self.progress.restart_clock(self.steps.start)
        return compiled_step

    def _record(self, step: int) -> None:
        figures = self.watch.check()
        figures["learning_rate"] = float(self.rate(step - 1))
        figures |= self.progress.advance(step, figures)
        on_all(self._write, step, figures)

    def _write(self, step: int, figures: Mapping[str, float]) -> None:
        self.log.write(step, "train", figures)
        shown = ("loss", "learning_rate", self.progress.speed_name)
        self.tensorboard.curves(step, "training", {name: figures[name] for name in shown})
