"""Evaluation of a run: the batches, the scores, the figures and how they are shown."""

import dataclasses
import pathlib
from collections.abc import Callable

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.classes.vocabulary import carry_over, class_context_of_labels
from animal_clip_jax.evaluation import metrics
from animal_clip_jax.evaluation import scoring as evaluate
from animal_clip_jax.evaluation.per_class import per_class_csv
from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_sources import RECOGNISED
from animal_clip_jax.models.classes import ClassContext
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.distributed import check_same_config, on_all
from animal_clip_jax.run import assembly
from animal_clip_jax.run import assembly as preparation
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.progress import MetricsLog
from animal_clip_jax.tables import format_table
from data_pipeline.dataset import DatasetInfo, load_index

_NOVELTY = {
    "top1_seen_pairs": "seen pairs",
    "top1_unseen_pairs": "unseen pairs",
    "top1_unseen_animals": "unseen animals",
}


class Evaluator:
    """Scores the test split of one run with changing parameters.

    Args:
        action_counts: (actions,) training clips of each action.
        parameter_shardings: how the parameters lie on the mesh, by path.
        recognition: of the animals, where one of the sources needs it.
        seen_animals: see `metrics.novelty_groups`.
        is_stopped: asked between batches; once it says so, scoring raises `Interrupted`.
    """

    def __init__(
        self,
        config: ConfigDict,
        graphdef: nnx.GraphDef,
        info: DatasetInfo,
        action_counts: np.ndarray,
        mesh: Mesh,
        parameter_shardings,
        recognition: AnimalRecognition | None = None,
        seen_animals: np.ndarray | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
    ):
        self._is_stopped = is_stopped
        self._config = config
        self._info = info
        self._action_counts = action_counts
        self._mesh = mesh
        self._seen_animals = seen_animals
        self._step = evaluate.make_evaluation_step(
            graphdef,
            mean=tuple(config.data.mean),
            std=tuple(config.data.std),
            mesh=mesh,
            parameter_shardings=parameter_shardings,
        )
        # Weights of the animals of each clip, under each recognised source.
        self._animal_weights: dict[str, dict[str, np.ndarray]] = {}
        if recognition is not None:
            for source in config.evaluation.animal_sources:
                if source in RECOGNISED:
                    self._animal_weights[source] = recognition.weights(
                        source, config.data.test_split
                    )
        self._recognition_figures = {
            source: recognition.figures(weights, config.data.test_split)
            for source, weights in self._animal_weights.items()
            if recognition is not None
        }

    def score(
        self,
        values: Parameters,
        classes: ClassContext,
        *,
        temporal_views: int = 1,
        crops: int = 1,
        animal_source: str | None = None,
        shuffle_seed: int | None = None,
    ) -> evaluate.Scores:
        """Scores every clip of the test split.

        Args:
            values, classes: on the devices.
            temporal_views, crops: views of every clip.
            animal_source: one of `config.evaluation.animal_sources`, None for the first.
            shuffle_seed: puts the frames in a random order; None leaves them.
        """
        from data_pipeline.batches import input as input_pipeline

        config = self._config
        source = animal_source or config.evaluation.animal_sources[0]
        part, parts = mesh_lib.process_share(self._mesh)
        batches = input_pipeline.evaluation_batches(
            config.data.directory,
            split=config.data.test_split,
            num_frames=config.model.num_frames,
            image_size=config.model.architecture.image_size,
            batch_size=config.evaluation.batch_size,
            num_temporal_views=temporal_views,
            num_crops=crops,
            process_index=part,
            process_count=parts,
            num_workers=config.data.num_workers or None,
            animal_weights=self._animal_weights.get(source),
        )
        return evaluate.score_split(
            self._step,
            values,
            classes,
            batches,
            self._mesh,
            animal_source=source,
            shuffle_seed=shuffle_seed,
            is_stopped=self._is_stopped,
        )

    def summarise(self, scored: evaluate.Scores) -> dict[str, float]:
        """The figures of `metrics.summarise` over scored clips."""
        return metrics.summarise(
            scored.scores,
            scored.actions,
            scored.animals,
            self._info.relation_counts,
            self._action_counts,
            self._info.multi_label,
            seen_animals=self._seen_animals,
        )

    def headline(self, summary: dict[str, float]) -> str:
        """The figures that matter most, on one line."""
        names = ["mAP"] if self._info.multi_label else ["top1", *_NOVELTY]
        return "  ".join(f"{name} {summary[name]:.3f}" for name in names if name in summary)

    def selection_metric(self, summary: dict[str, float]) -> float:
        """The figure that the best checkpoint is chosen by: mAP, or top-1 for a single label."""
        return summary["mAP" if self._info.multi_label else "top1"]

    def report(
        self,
        values: Parameters,
        classes: ClassContext,
        *,
        per_class_path: pathlib.Path | None = None,
    ) -> tuple[dict[str, float], str]:
        """The multi-view evaluation at the end, under every source of the animals.

        For a recognised source the figures also say how well it knows the animals: see
        `recognition_figures`.

        Args:
            per_class_path: a CSV file to write the classes' figures to, under the first source.

        Returns:
            the figures, those of a source under `source/…`, and tables to print.
        """
        options = self._config.evaluation
        figures: dict[str, float] = {}
        novelty_rows = []
        for source in options.animal_sources:
            for is_shuffled in (False, True) if options.shuffle_frames else (False,):
                scored = self.score(
                    values,
                    classes,
                    temporal_views=options.temporal_views,
                    crops=options.crops,
                    animal_source=source,
                    shuffle_seed=self._config.seed if is_shuffled else None,
                )
                summary = self.summarise(scored)
                if per_class_path and source == options.animal_sources[0] and not is_shuffled:
                    per_class_csv(
                        per_class_path,
                        self._info.action_names,
                        scored.scores,
                        scored.actions,
                        self._action_counts,
                        multi_label=self._info.multi_label,
                    )
                order = "shuffled" if is_shuffled else "in order"
                prefix = f"{source}/shuffled_" if is_shuffled else f"{source}/"
                figures |= {f"{prefix}{name}": value for name, value in summary.items()}
                novelty_rows.append(
                    {
                        "top-1": f"animals from: {source}, frames {order}",
                        "all": summary["top1"],
                        **{
                            label: summary[name]
                            for name, label in _NOVELTY.items()
                            if name in summary
                        },
                    }
                )
        names = list(summary)
        for source, recognised in self._recognition_figures.items():
            figures |= {f"{source}/{name}": value for name, value in recognised.items()}
            names += [name for name in recognised if name not in names]
        rows = [
            {
                "metric": name,
                **{source: figures.get(f"{source}/{name}") for source in options.animal_sources},
            }
            for name in names
        ]
        title = (
            f"{self._config.data.test_split}: {summary['clips']} clips, {options.temporal_views} × "
            f"{options.crops} views; a column for each source of the animals"
        )
        tables = [format_table(rows, title=title)]
        if not self._info.multi_label:
            chance = dict.fromkeys(list(novelty_rows[0])[1:], summary["chance"])
            tables.append(format_table([*novelty_rows, {"top-1": "chance", **chance}]))
        return figures, "\n\n".join(tables)


def evaluate_run(config: ConfigDict, workdir: pathlib.Path) -> str:
    """Evaluates a run on `config.data`, in several views.

    The checkpoint is that which `config.evaluation.checkpoint` names.

    With `config.evaluation.open_vocabulary`, the actions and animals of the data may be others than
    those of the training: their features are made from `config.prompts`, and an animal performs the
    actions that training showed, where both have the same name. The training split is not read.

    Returns:
        tables to print.

    Raises:
        FileNotFoundError, ValueError: there is no checkpoint, or it was trained with another model
            or other labels.
    """
    check_same_config(preparation.flat_config(config))
    is_open = config.evaluation.open_vocabulary
    info = on_all(preparation.check_config, config, is_open=is_open)
    mesh = mesh_lib.make_mesh(config.mesh)
    check_batch_size(config, mesh)
    checkpoints, step = RunCheckpoints.open(workdir, config.evaluation.checkpoint)
    trained_on = checkpoints.describe(step)
    for kind in ("action_names", "animal_names"):
        ours, theirs = getattr(info, kind), getattr(trained_on, kind)
        if ours != theirs and not is_open:
            raise ValueError(
                f"{config.data.directory} has {len(ours)} {kind.replace('_', ' ')}, the run in "
                f"{workdir} {len(theirs)}, or in another order; evaluate it on the labels that it "
                "was trained on, or set config.evaluation.open_vocabulary"
            )
    graphdef, _ = parameters.abstract(
        lambda: assembly.build_model(config.model, rngs=nnx.Rngs(config.seed))
    )
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    values, classes = checkpoints.restore_weights(step, replicated)
    checkpoints.close()
    is_main = jax.process_index() == 0
    # The head may be fitted later than the model, but to the same clips.
    is_same_data = not is_open and np.array_equal(info.relation_counts, trained_on.relation_counts)
    seen_animals = None
    if is_open:
        by_animal, by_action = (
            trained_on.relation_counts.sum(axis=axis, keepdims=True) for axis in (1, 0)
        )
        seen_animals = carry_over(
            by_animal, trained_on.animal_names, ("",), info.animal_names, ("",)
        )[:, 0]
        clips_of_actions = carry_over(
            by_action, ("",), trained_on.action_names, ("",), info.action_names
        )[0]
        counts = carry_over(
            trained_on.relation_counts,
            trained_on.animal_names,
            trained_on.action_names,
            info.animal_names,
            info.action_names,
        )
        info = dataclasses.replace(info, relation_counts=counts)
        classes = class_context_of_labels(
            config,
            graphdef,
            values,
            classes,
            trained_labels=(trained_on.action_names, trained_on.animal_names),
            labels=(info.action_names, info.animal_names),
            mesh=mesh,
            say=print if is_main else lambda note: None,
        )
        classes = jax.device_put(classes, replicated)
    else:
        clips_of_actions = action_counts(config, info)
    recognition = None
    if set(config.evaluation.animal_sources) & set(RECOGNISED):
        recognition = AnimalRecognition(
            config, workdir, info.animal_names, mesh, fits_head=is_same_data
        )
    evaluator = Evaluator(
        config,
        graphdef,
        info,
        clips_of_actions,
        mesh,
        replicated,
        recognition=recognition,
        seen_animals=seen_animals,
    )
    figures, report = evaluator.report(
        values, classes, per_class_path=workdir / "per_class.csv" if is_main else None
    )
    MetricsLog(workdir, is_written=is_main).write(step, "evaluation", figures)
    return report


def check_batch_size(config: ConfigDict, mesh: Mesh) -> None:
    """Raises ValueError unless evaluation's batches divide over the devices that share a batch."""
    shares = mesh.shape["data"] * mesh.shape["fsdp"]
    if config.evaluation.batch_size % shares:
        raise ValueError(
            f"config.evaluation.batch_size {config.evaluation.batch_size} is not a multiple of the "
            f"{shares} devices that share a batch (mesh {dict(mesh.shape)})"
        )


def action_counts(config: ConfigDict, info: DatasetInfo) -> np.ndarray:
    """Training clips of each action, (actions,)."""
    index = load_index(config.data.directory, config.data.train_split)
    labels = [label for clip in index.actions for label in clip]
    return np.bincount(labels, minlength=len(info.action_names))
