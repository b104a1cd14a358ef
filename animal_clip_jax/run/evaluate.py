"""Evaluation of a trained run, on its own data or any other."""

import dataclasses
import os
from collections.abc import Callable

import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.classes.context import text_tower
from animal_clip_jax.classes.features import NO_DESCRIPTIONS, Descriptions
from animal_clip_jax.classes.relation_graph import read_relations
from animal_clip_jax.classes.vocabulary import Labels, carry_over, context_of_labels
from animal_clip_jax.errors import UserError
from animal_clip_jax.locks import beside
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.description import CLASSIFIERS
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.distributed import (
    check_same_config,
    is_first,
    on_all,
    on_first,
    only_writer_of_all,
)
from animal_clip_jax.run import assembly, results, summary
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.attention import attention_in_use
from animal_clip_jax.run.config import (
    check_data,
    check_directory,
    check_fields_of_use,
    check_use,
    complete,
    flat_config,
    recognised_sources,
    selection,
    with_absolute_paths,
)
from animal_clip_jax.run.data import clips_of_labels, open_training_data, whole_split
from animal_clip_jax.run.evaluation_report.evaluated import Evaluated
from animal_clip_jax.run.evaluator import Evaluator, Known, check_batch_size
from animal_clip_jax.run.interruption import InterruptionNotice
from animal_clip_jax.run.progress import Screen
from animal_clip_jax.run.run_classes import prompted_names
from animal_clip_jax.run.start import filled
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.run.workdir import read_config
from data_pipeline.clip_index import load_index
from data_pipeline.dataset import DatasetInfo, dataset_digest, load_info

OPEN_VOCABULARY = ", or set config.evaluation.open_vocabulary"
Say = Callable[[str], None]
Track = Callable[[str, int, int, str], object]


def evaluate(
    folder: str | os.PathLike[str], config: ConfigDict | None = None, *, report: bool = False
) -> str:
    """Evaluates a run, in several views and under every source of the animals.

    The result is written into a folder of its own below the run's, see `results.write`; nothing
    else there changes, but for what is kept of recognised animals.

    With `evaluation.open_vocabulary`, the actions and animals of the data may be others than those
    of the training: their features are made from `config.prompts`, and an animal performs the
    actions that training showed, where both have the same name, or those of `relation.file`. The
    training split is not read.

    Args:
        folder: of the run.
        config: how to evaluate: the run's own configuration, with fields of
            `run.config.FREE_WHEN_TRAINED` changed. None takes it as it is.
        report: also write a page for a browser, `report.html`.

    Returns:
        a short table to print, and in its last line the folder with the whole result.

    Raises:
        MissingFileError, UserError: there is no checkpoint or no data; the configuration
            contradicts what was trained; the data has other labels.
        Interrupted: the process was asked to stop.
    """
    with InterruptionNotice() as notice, Screen(is_shown=is_first()) as screen:
        return _evaluate(folder, config, notice, screen, report=report)


def _evaluate(
    folder: str | os.PathLike[str],
    config: ConfigDict | None,
    notice: InterruptionNotice,
    screen: Screen,
    *,
    report: bool,
) -> str:
    screen.doing("opening the run and the data")
    if config is not None:
        check_same_config(flat_config(config))
    run, config = on_all(open_for_use, folder, config)
    on_all(check_directory, config)
    mesh = mesh_for(config, run)
    attention, note = attention_in_use(config, run, mesh)
    if note:
        screen.say(note)
    graphdef, _ = assembly.abstract_model(config.model, attention)
    check_batch_size(config, mesh)
    is_open = config.evaluation.open_vocabulary
    info = on_all(load_info, config.data.directory)
    on_all(check_data, config, info, is_trained_on=not is_open)
    labels = Labels(info.action_names, info.animal_names)
    if not is_open:
        check_labels_of(info, run, config.data.directory, otherwise=OPEN_VOCABULARY)
    digest = on_all(dataset_digest, config.data.directory)
    is_same_data = not is_open and is_trained_on(run, info, digest)
    clips = on_all(whole_split, config.data.directory, config.data.test_split)
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    values, classes = run.restore(replicated)
    if is_open:
        known = _known_of(run, info)
        classes = classes_of_labels(
            run, config, values, classes, labels, mesh=mesh, say=screen.say, track=screen.track
        )
        classes = jax.device_put(classes, replicated)
    else:
        counts = run.description.relation_counts
        known = Known(dataclasses.replace(info, relation_counts=counts), _action_clips(run, config))
    recognition = None
    if recognised_sources_of(config):
        # The clips of the training, whatever is tested on.
        training = run.with_data_at(config.data.directory).config
        train = on_all(open_training_data, training).train if is_same_data else None
        recognition = AnimalRecognition(
            config,
            run.folder,
            info.animal_names,
            mesh,
            train=train,
            digest=expected_recogniser(run, config),
            track=screen.track,
        )
    evaluator = Evaluator(
        config,
        graphdef,
        known,
        mesh,
        replicated,
        recognition,
        wait_for=notice.wait_for,
    )
    source = results.provenance(
        config,
        clips,
        data_name=info.name,
        data_digest=digest,
        step=run.step,
        checkpoint=config.evaluation.checkpoint,
        selection=selection(run.config),
        recogniser_digest="" if recognition is None else recognition.recogniser.digest,
        segments_source=info.segments_source,
    )
    folder = results.folder_of(run.folder, source)
    # Another evaluation of the same kind is noticed before minutes are spent on this one.
    with only_writer_of_all(folder, beside(folder)):
        result = evaluator.evaluate(
            values,
            classes,
            clips,
            advance=lambda done: screen.track(f"evaluating, {clips.name}", done, len(clips.index)),
        )
    if report:
        screen.doing("drawing the report")
    evaluated = Evaluated(
        source, result, clips, known, assembly.scores(config), config.data.directory
    )
    on_first(_write, run.folder, evaluated, with_page=report)
    table = results.summary(
        source, result.figures(), multi_label=info.multi_label, width=summary.screen_width()
    )
    written = summary.shown(folder)
    first = results.PAGE_FILE if report else results.REPORT_FILE
    return f"{table}\n\nEvery figure, and each action by itself ({first} first):\n{written}"


def _write(workdir: epath.Path, evaluated: Evaluated, *, with_page: bool) -> None:
    page = ""
    if with_page:
        # Here, not above: an evaluation without a page does without Matplotlib.
        from animal_clip_jax.run.evaluation_report.page import evaluation_page

        page = evaluation_page(evaluated)
    results.write(
        workdir,
        evaluated.source,
        evaluated.result,
        multi_label=evaluated.multi_label,
        page=page,
    )


def mesh_for(config: ConfigDict, run: TrainedRun) -> Mesh:
    """The devices to evaluate on: as asked for, or all, where the run's own were other ones."""
    try:
        return mesh_lib.make_mesh(config.mesh)
    except UserError:
        # A run that went on under another mesh has one in its folder, and one in its checkpoint.
        recorded = read_config(run.folder) or run.config
        own = (run.config.mesh.to_dict(), recorded.mesh.to_dict())
        if config.mesh.to_dict() not in own:
            raise
        return mesh_lib.make_mesh({"data": -1, "fsdp": 1, "model": 1})


def open_for_use(
    folder: str | os.PathLike[str], config: ConfigDict | None
) -> tuple[TrainedRun, ConfigDict]:
    """Opens a run to evaluate or use it under a configuration.

    Args:
        config: None takes the run's own.

    Returns:
        the run, and the configuration with whole paths.

    Raises:
        UserError: there is no run; fields of the configuration are wrong, or contradict what was
            trained.
    """
    if config is None:
        run = TrainedRun.open(folder)
        check_fields_of_use(run.config)
        if run.config.evaluation.checkpoint != "latest":
            run = TrainedRun.open(folder, run.config.evaluation.checkpoint)
        return run, run.config
    config = complete(config.to_dict())
    check_fields_of_use(config)
    run = TrainedRun.open(folder, config.evaluation.checkpoint)
    given = filled(with_absolute_paths(config), flat_config(run.config))
    check_use(given, with_absolute_paths(run.config))
    return run.with_data_at(given.data.directory), given


def recognised_sources_of(config: ConfigDict) -> tuple[str, ...]:
    """The recognised sources that an evaluation is asked for."""
    untrained = config.copy_and_resolve_references()
    untrained.animals.source, untrained.animals.label_dropout = "none", 0.0
    return recognised_sources(untrained)


def expected_recogniser(run: TrainedRun, config: ConfigDict) -> str:
    """The digest of the recogniser that a run must be used with; "" if any will do.

    Where a configuration names other weights than the run's, it asks for another recogniser.
    """
    own = (run.config.animals.weights, run.config.init_from)
    if (config.animals.weights, config.init_from) != own:
        return ""
    return run.description.recogniser_digest or ""


def classes_of_labels(
    run: TrainedRun,
    config: ConfigDict,
    values: Parameters,
    classes: ClassContext,
    labels: Labels,
    *,
    descriptions: Descriptions = NO_DESCRIPTIONS,
    mesh: Mesh | None = None,
    say: Say = lambda note: None,
    track: Track = lambda title, done, total, unit: None,
) -> ClassContext:
    """The class context of a run for other labels; see `vocabulary.context_of_labels`.

    Args:
        config: its `prompts` and `relation` are those of the labels.
        descriptions: the texts of some labels, whatever `prompts` says.

    Raises:
        UserError: labels cannot be told apart; a file is missing or does not fit them; the model
            reads no descriptions, and is given some.
    """
    check_reads_labels(run, labels)
    if descriptions and run.model.family in (*CLASSIFIERS, "video_prompt"):
        raise UserError(f"descriptions: a model of family {run.model.family!r} reads none")
    if run.model.family in CLASSIFIERS:
        return classes
    if run.model.family == "video_prompt":
        return prompted_names(run.config, labels.actions)
    relation = None
    if config.relation.file and config.relation.file != run.config.relation.file:
        relation = on_all(read_relations, config.relation.file, *labels, allow_ids=False)
        say(f"relation graph: {int(relation.sum())} edges, from {config.relation.file}")
    return context_of_labels(
        text_tower(run.model.towers, values),
        classes,
        run.labels,
        labels,
        sources={"actions": config.prompts.actions, "animals": config.prompts.animals},
        trained_sources={
            "actions": run.config.prompts.actions,
            "animals": run.config.prompts.animals,
        },
        descriptions=descriptions,
        relation=relation,
        similarity=config.relation.similarity,
        pooling=run.config.prompts.pooling,
        cache=config.prompts.cache,
        mesh=mesh,
        say=say,
        track=track,
    )


def check_reads_labels(run: TrainedRun, labels: Labels) -> None:
    """Raises UserError where a model knows the actions of its training alone, and is given others.

    Its animals do not matter to it.
    """
    if run.model.family in CLASSIFIERS and labels.actions != run.labels.actions:
        raise UserError(
            f"{run.folder}: a model of family {run.model.family!r} reads no texts: it tells the "
            f"{len(run.labels.actions)} actions of its training apart, in their order, and can be "
            "given no others; animal_clip, xclip and video_prompt can"
        )


def _known_of(run: TrainedRun, info: DatasetInfo) -> Known:
    """What training showed, by the labels of another data set."""
    counts, trained = run.description.relation_counts, run.labels
    by_animal, by_action = (counts.sum(axis=axis, keepdims=True) for axis in (1, 0))
    action_clips = run.description.action_clips
    if action_clips is not None:
        by_action = action_clips[None]
    carried = carry_over(
        counts, trained.animals, trained.actions, info.animal_names, info.action_names
    )
    return Known(
        info=dataclasses.replace(info, relation_counts=carried),
        action_clips=carry_over(by_action, ("",), trained.actions, ("",), info.action_names)[0],
        seen_animals=carry_over(by_animal, trained.animals, ("",), info.animal_names, ("",))[:, 0],
    )


def _action_clips(run: TrainedRun, config: ConfigDict) -> np.ndarray:
    """(actions,) training clips of each action; of an older run, those of the data's split."""
    if run.description.action_clips is not None:
        return run.description.action_clips
    index = load_index(config.data.directory, config.data.train_split)
    return clips_of_labels(index.actions, len(run.labels.actions))


def is_trained_on(run: TrainedRun, info: DatasetInfo, digest: str) -> bool:
    """Whether data is that which a run was trained on.

    Args:
        digest: see `dataset_digest`.
    """
    if run.description.data_digest is not None:
        return run.description.data_digest == digest
    return np.array_equal(info.relation_counts, run.description.relation_counts)


def check_labels_of(
    info: DatasetInfo, run: TrainedRun, directory: str, *, otherwise: str = ""
) -> None:
    """Makes sure that data has the labels of a run, in their order.

    Args:
        directory: where it lies.
        otherwise: what else can be done, for the message.

    Raises:
        UserError: it has not.
    """
    labels = Labels(info.action_names, info.animal_names)
    if labels == run.labels:
        return
    kind = "actions" if labels.actions != run.labels.actions else "animals"
    ours, theirs = getattr(labels, kind), getattr(run.labels, kind)
    unknown = [name for name in ours if name not in theirs]
    example = f"; {unknown[0]!r} is new" if unknown else "; they are in another order"
    raise UserError(
        f"{directory} has {len(ours)} {kind}, the run in {run.folder} {len(theirs)}{example}. Take "
        f"data with the labels that it was trained on{otherwise}"
    )
