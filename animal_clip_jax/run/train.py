"""The training run, in the order in which things happen."""

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
import optax
from etils import epath
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import absolute, is_remote, write_whole
from animal_clip_jax.models.class_context import ClassContext, without_texts
from animal_clip_jax.models.description import CLASSIFIERS
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.compile_ahead import compile_ahead
from animal_clip_jax.parallel.distributed import (
    check_same_config,
    is_first,
    on_all,
    on_first,
    only_writer_of_all,
)
from animal_clip_jax.run import assembly, resume, run_classes, summary
from animal_clip_jax.run import workdir as workdir_lib
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.attention import choose_attention
from animal_clip_jax.run.batch_shapes import batch_shapes
from animal_clip_jax.run.by_data import following
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.config import (
    check_fields,
    flat_config,
    selection,
    training_source,
    with_absolute_paths,
)
from animal_clip_jax.run.data import TrainingData, open_training_data
from animal_clip_jax.run.evaluator import Evaluator, Known, check_batch_size
from animal_clip_jax.run.inputs import record_inputs
from animal_clip_jax.run.interruption import InterruptionNotice
from animal_clip_jax.run.judge import Judge
from animal_clip_jax.run.loop import Batch, Steps, TrainingLoop
from animal_clip_jax.run.metrics_log import MetricsLog
from animal_clip_jax.run.profile import Profile
from animal_clip_jax.run.progress import Screen, TrainingProgress
from animal_clip_jax.run.run_description import RunDescription
from animal_clip_jax.run.start import initial_parameters, resolved
from animal_clip_jax.run.tensorboard import TensorBoard
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.run.watch import StepWatch
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.state import TrainState, abstract_state, create_state
from animal_clip_jax.training.step import make_train_step
from data_pipeline.batches import plan as batch_plan
from data_pipeline.dataset import dataset_digest

_ON_DEVICE = ("frames", "actions", "animals", "animal_weights")


def train(config: ConfigDict, workdir: str | os.PathLike[str], *, extends: bool = False) -> None:
    """Trains, evaluates after epochs and at the end, and leaves checkpoints in `workdir`.

    The same command on the same workdir goes on from the newest checkpoint.

    Args:
        workdir: local or remote.
        extends: the run there may be given more epochs than it was planned for; its learning rates
            follow the longer schedule from where it is.

    Raises:
        UserError: the configuration, data or weights do not fit; nothing has been written then. Or
            another process trains there, or the folder holds something else than a run.
        DivergenceError: a loss or gradient is not finite; no checkpoint was written after it.
        Interrupted: the process was asked to stop, and has saved its state.
    """
    with InterruptionNotice() as notice, Screen(is_shown=is_first()) as screen:
        on_all(check_fields, config)
        check_same_config(flat_config(config))
        folder = absolute(workdir)
        on_all(workdir_lib.check_is_free, folder)
        with only_writer_of_all(folder):
            _train(with_absolute_paths(config), folder, notice, screen, extends)


def _train(
    config: ConfigDict,
    workdir: epath.Path,
    notice: InterruptionNotice,
    screen: Screen,
    extends: bool,
) -> None:
    screen.doing("opening the data")
    config = on_all(_resolved, config, workdir)
    config, data, mesh, notes = _checked(config, workdir)
    steps_per_epoch = batch_plan.steps_per_epoch(len(data.train.index), config.batch_size)
    total_steps = steps_per_epoch * config.epochs
    earlier = on_all(resume.earlier_run, config, workdir, data.info, extends=extends)
    recognition = AnimalRecognition.for_training(
        config, workdir, data, mesh, digest=_recogniser_of(earlier), track=screen.track
    )
    screen.doing("preparing the model")
    plan = _plan(config, mesh, steps_per_epoch)
    if earlier is None:
        begun = _begin(config, workdir, data, plan, screen)
    else:
        if extends:
            on_first(resume.extend, config, workdir, earlier.step)
        begun = _go_on(config, workdir, earlier.step, plan)
    start_step, state, shardings, host_classes, checkpoints = begun
    del begun  # the steps give the state up, and nobody else is to hold it
    classes = jax.device_put(host_classes, NamedSharding(mesh, mesh_lib.REPLICATED))

    compiling = None
    if start_step < total_steps:
        train_step = _train_step(config, data, plan, state, shardings)
        batch = batch_shapes(config, len(data.info.action_names), len(data.info.animal_names))
        compiling = compile_ahead(train_step, state, batch, classes)
    batches = _on_devices(_training_batches(config, data, mesh, recognition, start_step), mesh)
    evaluator = Evaluator(
        config,
        plan.graphdef,
        Known(data.info, data.action_clips()),
        mesh,
        shardings.values(),
        recognition,
        wait_for=notice.wait_for,
    )
    log = MetricsLog(workdir, is_written=is_first())
    tensorboard = on_all(TensorBoard, workdir, is_written=is_first())
    digest = "" if recognition is None else recognition.recogniser.digest
    judge = Judge(config, data, evaluator, checkpoints, log, tensorboard, screen, digest)
    description = describe_run(config, data, digest)
    progress = TrainingProgress(
        screen,
        start_step=start_step,
        total_steps=total_steps,
        batch_size=config.batch_size,
        rates=np.asarray(jax.vmap(plan.rates[optimizer_lib.BASE])(np.arange(total_steps))),
        best=judge.best,
    )
    epoch, rest = divmod(start_step, steps_per_epoch)
    is_due = bool(start_step) and not rest and judge.is_due(epoch)
    # The run may have been stopped between the end of this epoch and its evaluation.
    is_owed = is_due and not judge.has_judged(start_step)
    broken_off = on_all(log.go_on, start_step, is_evaluated=not is_owed)
    tables = (
        summary.part_table(config.model.family, state.trained, state.frozen),
        summary.parameter_table(state.values(), plan.groups),
    )
    on_first(write_whole, workdir / "parameters.txt", "\n\n".join(tables) + "\n")
    on_first(workdir_lib.explain, workdir)
    screen.say(summary.opening(config, data, state, mesh))
    for note in notes:
        screen.say(note)
    if tensorboard.missing:
        screen.say(tensorboard.missing)
    if start_step == total_steps:
        screen.say(f"the training in {workdir} has finished, with step {total_steps}")
    elif start_step:
        screen.say(f"going on from step {start_step} of {total_steps} in {workdir}")
    else:
        on_all(tensorboard.configuration, config)
    if broken_off:
        screen.say(broken_off)

    def after_epoch(state: TrainState, step: int) -> bool:
        epoch, is_new_best = step // steps_per_epoch, False
        if judge.is_due(epoch):
            figure = judge.after_epoch(epoch, step, state, classes)
            is_new_best = judge.record(step, figure)
        return is_new_best or epoch % config.checkpoint.every_epochs == 0

    def save(state: TrainState, step: int) -> None:
        checkpoints.save(state, classes, description, step)
        progress.best = judge.best

    loop = TrainingLoop(
        steps=Steps(start_step, total_steps, steps_per_epoch, config.log_every_steps),
        rate=plan.rates[optimizer_lib.BASE],
        screen=screen,
        notice=notice,
        progress=progress,
        watch=StepWatch(workdir, checkpoints),
        profile=Profile(
            workdir / "profile" if config.profile else None,
            start_step=start_step,
            total_steps=total_steps,
        ),
        log=log,
        tensorboard=tensorboard,
        checkpoints=checkpoints,
        save=save,
        after_round=after_epoch,
        micro_batches=config.accumulation,
    )
    screen.doing("")
    # Closing waits for a checkpoint that is being saved, whatever ends the steps.
    with progress, loop.profile, contextlib.closing(checkpoints):
        if is_owed:
            figure = judge.after_epoch(epoch, start_step, state, classes)
            judge.record(start_step, figure)
        state = loop.run(compiling, state, batches, classes)
        screen.say(judge.at_the_end(workdir, total_steps, state, classes))


def _resolved(config: ConfigDict, workdir: epath.Path) -> ConfigDict:
    return resolved(config, resume.recorded_config(workdir))


def _checked(
    config: ConfigDict, workdir: epath.Path
) -> tuple[ConfigDict, TrainingData, Mesh, list[str]]:
    """The data and the devices, once everything that can be is checked, with the configuration that
    follows the data, and what is to be said of both. Errors as `train`."""
    on_all(check_fields, config)
    mesh = mesh_lib.make_mesh(config.mesh)
    note = choose_attention(config.model, mesh).note
    data = on_all(open_training_data, config)
    config, followed = following(
        config,
        clips=len(data.train.index),
        actions=len(data.info.action_names),
        multi_label=data.info.multi_label,
        shares=mesh.shape["data"] * mesh.shape["fsdp"],
    )
    on_all(check_fields, config)
    mesh_lib.check_batch_size(config.batch_size, config.accumulation, mesh)
    check_batch_size(config, mesh)
    if config.profile and is_remote(workdir):
        raise UserError(
            f"config.profile: a trace is written to a local workdir only, not {workdir}"
        )
    return config, data, mesh, [text for text in (note, followed) if text]


class _Plan(NamedTuple):
    """What a configuration says of the model and its training, before there are any values.

    Attributes:
        mesh: the devices.
        graphdef, abstract: structure of the model, and the shapes of its parameters by path.
        groups: optimizer group of every parameter.
        optimizer, rates: the update, and the learning rate of each group by step.
    """

    mesh: Mesh
    graphdef: nnx.GraphDef
    abstract: Parameters
    groups: dict[str, str]
    optimizer: optax.GradientTransformation
    rates: dict[str, optax.Schedule]


class _Begun(NamedTuple):
    """A training at the step that it starts or goes on from.

    Attributes:
        state: on the devices, as `shardings` says.
        classes: on the host.
    """

    step: int
    state: TrainState
    shardings: TrainState
    classes: ClassContext
    checkpoints: RunCheckpoints


def _plan(config: ConfigDict, mesh: Mesh, steps_per_epoch: int) -> _Plan:
    attention = choose_attention(config.model, mesh).attention
    graphdef, abstract = assembly.abstract_model(config.model, attention)
    groups = assembly.parameter_groups(config.model, abstract)
    optimizer, rates = assembly.make_optimizer(config, groups, steps_per_epoch=steps_per_epoch)
    return _Plan(mesh, graphdef, abstract, groups, optimizer, rates)


def _begin(
    config: ConfigDict, workdir: epath.Path, data: TrainingData, plan: _Plan, screen: Screen
) -> _Begun:
    """A new run, from random or given parameters; claims the workdir."""
    values, digests, note = on_all(initial_parameters, config)
    if note:
        screen.say(note)
    classes = run_classes.class_context(
        config, values, data.info, data.train.index, plan.mesh, screen.say, screen.track
    )
    inputs = on_all(record_inputs, config, digests)
    on_first(workdir_lib.claim, config, workdir, inputs)
    state, shardings = create_state(
        values,
        plan.groups,
        plan.optimizer,
        seed=config.seed,
        mesh=plan.mesh,
        with_averages=config.optimizer.ema_decay > 0,
    )
    return _Begun(0, state, shardings, classes, _checkpoints(config, workdir))


def _go_on(config: ConfigDict, workdir: epath.Path, step: int, plan: _Plan) -> _Begun:
    """The run in the workdir, as its checkpoint of a step holds it."""
    shapes, shardings = abstract_state(
        plan.abstract,
        plan.groups,
        plan.optimizer,
        mesh=plan.mesh,
        with_averages=config.optimizer.ema_decay > 0,
    )
    checkpoints = _checkpoints(config, workdir)
    state, classes = checkpoints.restore(step, shapes, shardings)
    if classes is None:
        # A checkpoint without any, of a model that reads texts, is damaged.
        assert config.model.family in CLASSIFIERS
        classes = without_texts(config.model.num_classes)
    return _Begun(step, state, shardings, classes, checkpoints)


def _checkpoints(config: ConfigDict, workdir: epath.Path) -> RunCheckpoints:
    return RunCheckpoints(workdir, keep=config.checkpoint.keep, tidies=True, is_written=is_first())


def _train_step(
    config: ConfigDict,
    data: TrainingData,
    plan: _Plan,
    state: TrainState,
    shardings: TrainState,
):
    """The step of `step.make_train_step`, not compiled yet."""
    loss, reduction = assembly.make_loss(
        config,
        data.action_clips(),
        len(data.train.index),
        logit_scale=assembly.logit_factor(config.model, state.frozen),
    )
    return make_train_step(
        plan.graphdef,
        plan.optimizer,
        loss,
        reduction=reduction,
        settings=assembly.step_settings(config),
        mesh=plan.mesh,
        state_shardings=shardings,
    )


def _training_batches(
    config: ConfigDict,
    data: TrainingData,
    mesh: Mesh,
    recognition: AnimalRecognition | None,
    start_step: int,
) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of the batches after a step, without end."""
    # TensorFlow is imported here, and not by whoever only wants the model, or has a wrong path.
    from data_pipeline.batches import input as input_pipeline

    animal_weights, told_by = None, training_source(config)
    if recognition is not None and told_by is not None:
        animal_weights = recognition.weights(told_by, data.train, is_training=True)
    part, parts = mesh_lib.process_share(mesh)
    return input_pipeline.train_batches(
        config.data.directory,
        num_frames=config.model.num_frames,
        image_size=config.model.architecture.image_size,
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=start_step,
        process_index=part,
        process_count=parts,
        multi_scale_crop=config.data.multi_scale_crop,
        flip=config.data.flip,
        num_workers=config.data.num_workers or None,
        split=config.data.train_split,
        animal_weights=animal_weights,
        rows=data.train.rows,
    )


def _on_devices(batches: Iterator[dict[str, np.ndarray]], mesh: Mesh) -> Iterator[Batch]:
    for batch in batches:
        arrays = {name: batch[name] for name in _ON_DEVICE if name in batch}
        yield Batch(mesh_lib.put_batch(arrays, mesh), list(batch["clip_id"]))


def _recogniser_of(earlier: TrainedRun | None) -> str:
    return "" if earlier is None else earlier.description.recogniser_digest or ""


def describe_run(config: ConfigDict, data: TrainingData, recogniser_digest: str) -> RunDescription:
    """What the checkpoints of a run say of it.

    Args:
        config: with absolute paths.
        recogniser_digest: of the model that recognises its animals, "" if none does.
    """
    return RunDescription(
        config=config.to_dict(),
        action_names=data.info.action_names,
        animal_names=data.info.animal_names,
        relation_counts=data.info.relation_counts,
        git_revision=workdir_lib.git_revision(),
        action_clips=data.action_clips(),
        multi_label=data.info.multi_label,
        short_side=data.info.short_side,
        max_frames=data.info.max_frames,
        data_digest=dataset_digest(config.data.directory),
        recogniser_digest=recogniser_digest,
        selection=selection(config).on,
    )
