"""How good the model of a run is: after epochs, and at the end."""

import dataclasses

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.models.animal_sources import IN_WORDS
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.parallel.distributed import from_first, is_first, on_all, on_first
from animal_clip_jax.run import results, summary
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.config import selection
from animal_clip_jax.run.data import TrainingData
from animal_clip_jax.run.evaluator import Evaluator, selection_figure
from animal_clip_jax.run.figure_text import percent
from animal_clip_jax.run.metrics_log import MetricsLog
from animal_clip_jax.run.progress import Screen
from animal_clip_jax.run.tensorboard import ClipSample, TensorBoard
from animal_clip_jax.training.state import TrainState
from data_pipeline.dataset import dataset_digest


@dataclasses.dataclass
class Judge:
    """Evaluates a run, says what came of it, and writes it down.

    Attributes:
        recogniser_digest: of the model that recognises animals, "" if none does.
    """

    config: ConfigDict
    data: TrainingData
    evaluator: Evaluator
    checkpoints: RunCheckpoints
    log: MetricsLog
    tensorboard: TensorBoard
    screen: Screen
    recogniser_digest: str

    def __post_init__(self):
        self._clips = self.data.validation or self.data.test
        self._sample = ClipSample(self.config, self._clips, self.data.info.action_names)
        self._last_sampled: int | None = None

    @property
    def best(self) -> str:
        """The figure of the best checkpoint so far, as text; "" without one."""
        figure = self.checkpoints.best_figure()
        if figure is None or selection(self.config).split is None:
            return ""
        return f"{percent(figure, len(self._clips.index))} %"

    def is_due(self, epoch: int) -> bool:
        """Whether the model is evaluated after an epoch."""
        return epoch % self.config.evaluation.every_epochs == 0

    def has_judged(self, step: int) -> bool:
        """Whether the evaluation of a step is on record."""
        if selection(self.config).split is not None:
            return self.checkpoints.is_evaluated(step)
        return bool(from_first(np.bool_(self.log.holds(step, "evaluation"))))

    def after_epoch(self, epoch: int, step: int, state: TrainState, classes: ClassContext) -> float:
        """Scores the validation clips, or without any the test clips, in one view.

        Returns:
            the figure that the best checkpoint is chosen by.

        Raises:
            Interrupted: the process was asked to stop.
        """
        clips, multi_label = self._clips, self.data.info.multi_label
        source = self.config.evaluation.animal_sources[0]
        title, total = f"evaluating, {clips.name}", len(clips.index)
        scored = self.evaluator.score(
            state.evaluated(),
            classes,
            clips,
            advance=lambda done: self.screen.track(title, done, total),
        )
        figures = self.evaluator.summarise(scored, clips)
        figure = selection_figure(figures, multi_label=multi_label)
        is_chosen_on = selection(self.config).split is not None
        is_best = is_chosen_on and self.checkpoints.would_be_best(figure)
        self.screen.say(
            f"epoch {epoch}/{self.config.epochs}, {clips.name}: "
            f"{results.headline(figures, multi_label=multi_label)}, animals {IN_WORDS[source]}"
            f"{', best' if is_best else ''}"
        )
        on_all(
            self.log.write,
            step,
            "evaluation",
            {f"{source}/{name}": value for name, value in figures.items()},
            {"split": clips.split, "clip_set": clips.name, "temporal_views": 1, "crops": 1},
        )
        curves = results.curves(figures, multi_label=multi_label)
        on_all(self.tensorboard.curves, step, clips.name, curves)
        self._show_sample(step, scored.scores)
        return figure

    def record(self, step: int, figure: float) -> bool:
        """Notes the figure of a step where a best checkpoint is chosen.

        Returns:
            whether it is the best so far.
        """
        if selection(self.config).split is None:
            return False
        is_best = self.checkpoints.would_be_best(figure)
        self.checkpoints.record_figure(step, figure)
        return is_best

    def at_the_end(
        self, workdir: epath.Path, step: int, state: TrainState, classes: ClassContext
    ) -> str:
        """Evaluates on the test clips in all views, unless that has been done.

        Returns:
            what to say of it.

        Raises:
            Interrupted: the process was asked to stop.
        """
        clips, multi_label = self.data.test, self.data.info.multi_label
        source = results.provenance(
            self.config,
            clips,
            data_name=self.data.info.name,
            data_digest=dataset_digest(self.config.data.directory),
            step=step,
            checkpoint="latest",
            selection=selection(self.config),
            recogniser_digest=self.recogniser_digest,
            segments_source=self.data.info.segments_source,
        )
        folder = results.folder_of(workdir, source)
        is_there = bool(from_first(np.bool_((folder / results.METRICS_FILE).exists())))
        if not is_there:
            result = self.evaluator.evaluate(
                state.evaluated(),
                classes,
                clips,
                advance=lambda done: self.screen.track(
                    f"evaluating, {clips.name}", done, len(clips.index)
                ),
            )
            on_first(results.write, workdir, source, result, multi_label=multi_label)
            on_all(self.log.write, step, "evaluation", result.figures(), source)
            for part in result.by_source:
                if not part.is_shuffled:
                    on_all(
                        self.tensorboard.curves,
                        step,
                        f"end_{clips.name}_animals_{part.source}",
                        results.curves(part.figures, multi_label=multi_label),
                    )
            if clips is self._clips and self._last_sampled != step:
                self._show_sample(step, result.by_source[0].probabilities)
        if not is_first():
            return ""
        table = results.summary(
            source,
            results.read(folder)["metrics"],
            multi_label=multi_label,
            width=summary.screen_width(),
        )
        steps, best = self.checkpoints.steps(), self.checkpoints.best_step()
        return f"\n{table}\n\n{summary.closing(workdir, steps, best, folder)}"

    def _show_sample(self, step: int, probabilities: np.ndarray) -> None:
        """On process 0; all call it, so that a record that cannot be read ends them all."""
        self._last_sampled = step
        on_first(self._write_sample, step, probabilities)

    def _write_sample(self, step: int, probabilities: np.ndarray) -> None:
        if self.tensorboard.is_written:
            self.tensorboard.clips(step, self._sample.images(probabilities))
