"""Scores of a run's clips, and the figures made of them."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.evaluation import intervals, metrics, per_group, scoring, split_scores
from animal_clip_jax.evaluation.per_class import per_class_rows
from animal_clip_jax.evaluation.per_clip import per_clip_rows
from animal_clip_jax.evaluation.split_scores import Condition, Recognised, Scores
from animal_clip_jax.models.animal_sources import RECOGNISED, recognised_of
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.run import assembly
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.data import ClipSet
from data_pipeline.dataset import DatasetInfo
from data_pipeline.long_tail import segments


@dataclasses.dataclass(frozen=True)
class Known:
    """What training showed of the labels that are scored.

    Attributes:
        info: of the data set; its `relation_counts` are those of the training, by these labels.
        action_clips: (actions,) training clips of each action.
        seen_animals: (animals,), true where the animal occurs in training; None where it performs
            one of these actions there. See `metrics.novelty_groups`.
    """

    info: DatasetInfo
    action_clips: np.ndarray
    seen_animals: np.ndarray | None = None

    def segments(self) -> np.ndarray:
        """(actions,) "head", "middle" or "tail": the official ones, or else by training clips."""
        if self.info.action_segments:
            return np.array(self.info.action_segments)
        return segments(self.action_clips)


@dataclasses.dataclass(frozen=True)
class SourceResult:
    """What came of one evaluation under one source of animals.

    Attributes:
        source: of the animals.
        is_shuffled: whether the frames were put in a random order.
        figures: of `metrics.summarise` and `per_group.group_figures`, and for multi-label data the
            standard errors of mAP.
        per_class: rows of `per_class_rows`.
        per_clip: rows of `per_clip_rows`.
        probabilities: (clips, actions), the mean over views.
    """

    source: str
    is_shuffled: bool
    figures: dict[str, float]
    per_class: list[dict[str, Any]]
    per_clip: list[dict[str, Any]]
    probabilities: np.ndarray


@dataclasses.dataclass(frozen=True)
class Result:
    """A multi-view evaluation under every source of the animals.

    Attributes:
        by_source: in the order of `evaluation.animal_sources`, shuffled after in order.
        recognition: how well each recognised source knows the animals.
        features: (clips, embed_dim) float32, of the clips with their frames in order, the mean over
            views; the animals do not matter to them.
    """

    by_source: list[SourceResult]
    recognition: dict[str, dict[str, float]]
    features: np.ndarray

    def figures(self) -> dict[str, float]:
        """All figures by name: "none/top1", "none/shuffled_top1", "predicted/animals_top1"."""
        figures = {
            f"{result.source}/{'shuffled_' if result.is_shuffled else ''}{name}": value
            for result in self.by_source
            for name, value in result.figures.items()
        }
        for source, recognised in self.recognition.items():
            figures |= {f"{source}/{name}": value for name, value in recognised.items()}
        return figures


def check_batch_size(config: ConfigDict, mesh: Mesh) -> None:
    """Raises UserError unless evaluation's batches divide over the devices that share a batch."""
    shares = mesh.shape["data"] * mesh.shape["fsdp"]
    if config.evaluation.batch_size % shares:
        raise UserError(
            f"config.evaluation.batch_size {config.evaluation.batch_size} is not a multiple of the "
            f"{shares} devices that share a batch (mesh {dict(mesh.shape)}); take {shares}, or a "
            "multiple of it"
        )


class Evaluator:
    """Scores clips of one data set with changing parameters.

    Args:
        config: says where the data is, how it is looked at and normalised.
        graphdef: structure of the model.
        known: what training showed.
        mesh, parameter_shardings: the devices, and how the parameters lie on them.
        recognition: of the animals, where one of the sources needs it.
        wait_for: waits for an array, and may raise to give the evaluation up.
    """

    def __init__(
        self,
        config: ConfigDict,
        graphdef: nnx.GraphDef,
        known: Known,
        mesh: Mesh,
        parameter_shardings,
        recognition: AnimalRecognition | None = None,
        wait_for: Callable[[jax.Array], object] = jax.block_until_ready,
    ):
        self._config = config
        self._known = known
        self._mesh = mesh
        self._recognition = recognition
        self._wait_for = wait_for
        self._make_steps = functools.partial(
            scoring.make_scoring_steps,
            graphdef,
            normalisation=assembly.normalisation(config),
            mesh=mesh,
            parameter_shardings=parameter_shardings,
        )
        self._steps = self._make_steps(outputs=assembly.scores(config))

    def score(
        self,
        values: Parameters,
        classes: ClassContext,
        clips: ClipSet,
        *,
        temporal_views: int = 1,
        crops: int = 1,
        animal_source: str | None = None,
        shuffle_seed: int | None = None,
        advance: Callable[[int], object] = lambda clips: None,
    ) -> Scores:
        """Scores every one of some clips, under one condition.

        Args:
            values, classes: on the devices.
            temporal_views, crops: views of every clip.
            animal_source: where the animals come from, None for the first of
                `config.evaluation.animal_sources`.
            shuffle_seed: puts the frames in a random order; None leaves them.
            advance: is given the number of clips that are done, again and again.
        """
        source = animal_source or self._config.evaluation.animal_sources[0]
        (scored,) = self._score_under(
            [Condition(source, shuffle_seed)],
            values,
            classes,
            clips,
            temporal_views=temporal_views,
            crops=crops,
            advance=advance,
        )
        return scored

    def _score_under(
        self,
        conditions: Sequence[Condition],
        values: Parameters,
        classes: ClassContext,
        clips: ClipSet,
        *,
        temporal_views: int,
        crops: int,
        advance: Callable[[int], object],
    ) -> list[Scores]:
        return split_scores.score_split(
            self._steps,
            values,
            classes,
            self._batches(clips, temporal_views, crops),
            self._mesh,
            conditions=conditions,
            recognised=self._recognised([each.animal_source for each in conditions], clips),
            wait_for=self._wait_for,
            advance=advance,
        )

    def logits(
        self,
        values: Parameters,
        classes: ClassContext,
        clips: ClipSet,
        *,
        temporal_views: int,
        crops: int,
        animal_source: str,
        advance: Callable[[int], object] = lambda clips: None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The logits of clips in each of their views, (clips, views, actions) float64, and their
        annotated actions, multi-hot (clips, actions). Arguments as `score`; in one process."""
        return split_scores.split_logits(
            self._make_steps(outputs=scoring.LOGITS),
            values,
            classes,
            self._batches(clips, temporal_views, crops),
            self._mesh,
            animal_source=animal_source,
            views=temporal_views * crops,
            recognised=self._recognised([animal_source], clips),
            wait_for=self._wait_for,
            advance=advance,
        )

    def _recognised(self, sources: Iterable[str], clips: ClipSet) -> Recognised:
        """What the recognised ones of some sources say of the clips."""
        recognised = recognised_of(sources)
        if not recognised:
            return {}
        assert self._recognition is not None
        return {source: self._recognition.weights(source, clips) for source in recognised}

    def _batches(
        self, clips: ClipSet, temporal_views: int, crops: int
    ) -> Iterable[split_scores.ViewBatch]:
        """This process's share of the clips in batches, a view of them after the other."""
        from data_pipeline.batches import input as input_pipeline

        config = self._config
        part, parts = mesh_lib.process_share(self._mesh)
        return input_pipeline.streamed_evaluation_batches(
            config.data.directory,
            split=clips.split,
            num_frames=config.model.num_frames,
            image_size=config.model.architecture.image_size,
            batch_size=scoring.batch_size_for(
                config.evaluation.batch_size, len(clips.index), self._mesh
            ),
            num_temporal_views=temporal_views,
            num_crops=crops,
            process_index=part,
            process_count=parts,
            num_workers=config.data.num_workers or None,
            rows=clips.rows,
        )

    def summarise(self, scored: Scores, clips: ClipSet) -> dict[str, float]:
        """The figures of `metrics.summarise` over scored clips, and those of their groups.

        Args:
            scored: all of `clips`, in their order.
        """
        figures = metrics.summarise(
            scored.scores,
            scored.actions,
            scored.animals,
            self._known.info.relation_counts,
            self._known.action_clips,
            self._known.info.multi_label,
            seen_animals=self._known.seen_animals,
            class_segments=self._known.segments(),
        )
        return figures | per_group.group_figures(
            scored.scores,
            scored.actions,
            clips.index.groups,
            multi_label=self._known.info.multi_label,
        )

    def evaluate(
        self,
        values: Parameters,
        classes: ClassContext,
        clips: ClipSet,
        *,
        advance: Callable[[int], object] = lambda clips: None,
    ) -> Result:
        """Scores clips in all views of `config.evaluation`, under every source of the animals.

        Args:
            values, classes: on the devices.
            advance: is given the number of clips that are done, again and again.
        """
        options = self._config.evaluation
        views = options.temporal_views * options.crops
        info, results = self._known.info, []
        seeds = (None, self._config.seed) if options.shuffle_frames else (None,)
        conditions = [
            Condition(source, seed) for source in options.animal_sources for seed in seeds
        ]
        all_scored = self._score_under(
            conditions,
            values,
            classes,
            clips,
            temporal_views=options.temporal_views,
            crops=options.crops,
            advance=advance,
        )
        for (source, seed), scored in zip(conditions, all_scored, strict=True):
            per_class = per_class_rows(
                info.action_names,
                scored.scores,
                scored.actions,
                self._known.action_clips,
                multi_label=info.multi_label,
                class_segments=self._known.segments(),
            )
            figures = self.summarise(scored, clips)
            if info.multi_label:
                figures |= intervals.mean_ap_errors(
                    scored.scores, scored.actions, self._known.segments()
                ) | per_group.group_mean_ap_errors(
                    scored.scores, scored.actions, clips.index.groups
                )
            is_shuffled = seed is not None
            probabilities = scored.scores / views
            per_clip = per_clip_rows(
                clips.index.clip_ids, info.action_names, probabilities, scored.actions
            )
            results.append(
                SourceResult(source, is_shuffled, figures, per_class, per_clip, probabilities)
            )
        recognition = {}
        if self._recognition is not None:
            recognition = {
                source: self._recognition.figures(self._recognition.weights(source, clips), clips)
                for source in options.animal_sources
                if source in RECOGNISED
            }
        return Result(results, recognition, all_scored[0].features / views)


def selection_figure(summary: dict[str, float], *, multi_label: bool) -> float:
    """The figure that the best checkpoint is chosen by: mAP, or top-1 for a single label."""
    return summary["mAP" if multi_label else "top1"]
