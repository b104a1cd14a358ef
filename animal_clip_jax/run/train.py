"""The training run, in the order in which things happen."""

import contextlib
import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import absolute, is_remote, write_whole
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.parallel import accelerator
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.distributed import (
    check_same_config,
    from_first,
    is_first,
    on_all,
    on_first,
)
from animal_clip_jax.run import assembly, results, resume, summary
from animal_clip_jax.run import workdir as workdir_lib
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.checkpoints import RunCheckpoints, RunDescription
from animal_clip_jax.run.config import (
    check_fields,
    flat_config,
    selection,
    training_source,
    with_absolute_paths,
)
from animal_clip_jax.run.data import TrainingData, open_training_data
from animal_clip_jax.run.evaluator import Evaluator, Known, check_batch_size, selection_figure
from animal_clip_jax.run.inputs import record_inputs
from animal_clip_jax.run.interruption import Interrupted, InterruptionNotice
from animal_clip_jax.run.metrics_log import MetricsLog
from animal_clip_jax.run.profile import Profile
from animal_clip_jax.run.progress import Activity, TrainingProgress
from animal_clip_jax.run.trained_run import TrainedRun, load_start
from animal_clip_jax.run.watch import StepWatch
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.step import TrainState, abstract_state, create_state, make_train_step
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
        UserError: the configuration, data or weights do not fit; nothing has been written then.
        DivergenceError: a loss or gradient is not finite; no checkpoint was written after it.
        Interrupted: the process was asked to stop, and has saved its state.
    """
    with InterruptionNotice() as notice:
        check_same_config(flat_config(config))
        _train(with_absolute_paths(config), absolute(workdir), notice, extends)


def _train(
    config: ConfigDict, workdir: epath.Path, notice: InterruptionNotice, extends: bool
) -> None:
    on_all(check_fields, config)
    data = on_all(open_training_data, config)
    mesh = mesh_lib.make_mesh(config.mesh)
    mesh_lib.check_batch_size(config.batch_size, config.accumulation, mesh)
    check_batch_size(config, mesh)
    if config.profile and is_remote(workdir):
        raise UserError(
            f"config.profile: a trace is written to a local workdir only, not {workdir}"
        )
    # TensorFlow is imported here, and not by whoever only wants the model, or has a wrong path.
    from data_pipeline.batches import input as input_pipeline

    steps_per_epoch = input_pipeline.steps_per_epoch(len(data.train.index), config.batch_size)
    total_steps = steps_per_epoch * config.epochs
    earlier = on_all(resume.earlier_run, config, workdir, data.info, extends=extends)
    recognition = AnimalRecognition.for_training(
        config, workdir, data, mesh, digest=_recogniser_of(earlier)
    )
    graphdef, abstract = assembly.abstract_model(config.model)
    groups = optimizer_lib.parameter_groups(abstract, refinement=config.model.refinement)
    optimizer, rates = assembly.make_optimizer(config, groups, steps_per_epoch=steps_per_epoch)
    with_averages = config.optimizer.ema_decay > 0

    if earlier is None:
        values, digests = on_all(_initial_values, config)
        host_classes = assembly.class_context(
            config, values, data.info, data.train.index, mesh, _say
        )
        inputs = on_all(record_inputs, config, digests)
        on_first(workdir_lib.claim, config, workdir, inputs)
        state, shardings = create_state(
            values, groups, optimizer, seed=config.seed, mesh=mesh, with_averages=with_averages
        )
        start_step = 0
        checkpoints = RunCheckpoints(
            workdir, keep=config.checkpoint.keep, tidies=True, is_written=is_first()
        )
    else:
        if extends:
            on_first(resume.extend, config, workdir, earlier.step)
        shapes, shardings = abstract_state(
            abstract, groups, optimizer, mesh=mesh, with_averages=with_averages
        )
        start_step = earlier.step
        checkpoints = RunCheckpoints(
            workdir, keep=config.checkpoint.keep, tidies=True, is_written=is_first()
        )
        state, host_classes = checkpoints.restore(start_step, shapes, shardings)
    classes = jax.device_put(host_classes, NamedSharding(mesh, mesh_lib.REPLICATED))

    action_clips = data.action_clips()
    loss, reduction = assembly.make_loss(
        config,
        action_clips,
        len(data.train.index),
        # Computed on the device: the host keeps no view of a state that the steps give up.
        logit_scale=float(jnp.exp(state.frozen["logit_scale"])),
    )
    train_step = make_train_step(
        graphdef,
        optimizer,
        loss,
        reduction=reduction,
        settings=assembly.step_settings(config),
        mesh=mesh,
        state_shardings=shardings,
    )
    animal_weights, told_by = None, training_source(config)
    if recognition is not None and told_by is not None:
        animal_weights = recognition.weights(told_by, data.train, is_training=True)
    part, parts = mesh_lib.process_share(mesh)
    batches = input_pipeline.train_batches(
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
    progress = TrainingProgress(
        start_step=start_step,
        total_steps=total_steps,
        batch_size=config.batch_size,
        is_shown=is_first(),
    )
    log = MetricsLog(workdir, is_written=is_first())
    judge = _Judge(
        config,
        data,
        Evaluator(
            config,
            graphdef,
            Known(data.info, action_clips),
            mesh,
            {**shardings.trained, **shardings.frozen},
            recognition,
            wait_for=notice.wait_for,
        ),
        checkpoints,
        log,
        progress,
        recogniser_digest="" if recognition is None else recognition.recogniser.digest,
    )
    description = describe_run(config, data, judge.recogniser_digest)
    table = summary.parameter_table(state.trained | state.frozen, groups)
    on_first(write_whole, workdir / "parameters.txt", table + "\n")
    progress.say(summary.opening(config, data, state, mesh))
    if start_step:
        progress.say(f"going on from step {start_step} of {total_steps} in {workdir}")

    watch = StepWatch(workdir, checkpoints)
    profile = Profile(
        workdir / "profile" if config.profile else None,
        start_step=start_step,
        total_steps=total_steps,
    )
    compiled_step = None
    # Closing waits for a checkpoint that is being saved, whatever ends the steps.
    with progress, profile, contextlib.closing(checkpoints):
        epoch, rest = divmod(start_step, steps_per_epoch)
        if start_step and not rest and judge.is_due(epoch) and not judge.has_judged(start_step):
            # The run was stopped between the end of this epoch and its evaluation.
            figure = judge.after_epoch(epoch, start_step, state, classes)
            judge.record(start_step, figure)
        for step in range(start_step + 1, total_steps + 1):
            host_batch = next(batches)
            batch = mesh_lib.put_batch(
                {name: host_batch[name] for name in _ON_DEVICE if name in host_batch}, mesh
            )
            if compiled_step is None:
                compiled_step = train_step.lower(state, batch, classes).compile()
                progress.set_ideal(
                    accelerator.ideal_seconds(compiled_step, micro_batches=config.accumulation)
                )
                progress.restart_clock(start_step)
            profile.before(step)
            state, metrics = compiled_step(state, batch, classes)
            watch.add(step, metrics, list(host_batch["clip_id"]))
            profile.after(step, state)

            is_last = step == total_steps
            if step % config.log_every_steps == 0 or is_last:
                figures = watch.check()
                figures["learning_rate"] = float(rates[optimizer_lib.BASE](step - 1))
                figures |= progress.advance(step, figures)
                log.write(step, "train", figures)

            epoch, rest = divmod(step, steps_per_epoch)
            is_interrupted = notice.is_due()
            if rest and not is_interrupted:
                continue
            watch.check()
            is_new_best = False
            if not rest and judge.is_due(epoch) and not is_interrupted:
                try:
                    figure = judge.after_epoch(epoch, step, state, classes)
                except Interrupted:
                    is_interrupted = True
                else:
                    is_new_best = judge.record(step, figure)
            is_due = not rest and epoch % config.checkpoint.every_epochs == 0
            if is_due or is_last or is_new_best or is_interrupted:
                checkpoints.save(state, classes, description, step)
            progress.restart_clock(step)
            if is_interrupted:
                checkpoints.wait()
                raise Interrupted(
                    f"stopped by SIGTERM; step {step} of {total_steps} is saved in "
                    f"{workdir}: run the same command again to go on"
                )
        checkpoints.wait()
        progress.say(judge.at_the_end(workdir, total_steps, state, classes))


def _say(note: str) -> None:
    if is_first():
        print(note)


def _recogniser_of(earlier: TrainedRun | None) -> str:
    return "" if earlier is None else earlier.description.recogniser_digest or ""


def _initial_values(config: ConfigDict) -> tuple[dict, dict[str, str]]:
    """The parameters before the first step, and the digests of what they come from, by field.

    Raises:
        UserError: `config.init_from` is missing, damaged, or of another model.
    """
    if not config.init_from:
        return assembly.random_parameters(config), {}
    start = load_start(config.init_from)
    assembly.check_start(config, start)
    return start.parameters, {"init_from": start.digest()}


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


@dataclasses.dataclass
class _Judge:
    """How good the model of a run is: after epochs, and at the end."""

    config: ConfigDict
    data: TrainingData
    evaluator: Evaluator
    checkpoints: RunCheckpoints
    log: MetricsLog
    progress: TrainingProgress
    recogniser_digest: str

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
        clips = self.data.validation or self.data.test
        source = self.config.evaluation.animal_sources[0]
        multi_label = self.data.info.multi_label
        with Activity(
            len(clips.index), is_shown=is_first(), console=self.progress.console
        ) as activity:
            scored = self.evaluator.score(
                state.evaluated(),
                classes,
                clips,
                advance=lambda done: activity.show(f"epoch {epoch}, {clips.name}", done),
            )
        figures = self.evaluator.summarise(scored)
        headline = results.headline(figures, multi_label=multi_label)
        self.progress.say(f"epoch {epoch}, {clips.name}, animals from {source}: {headline}")
        self.log.write(
            step,
            "evaluation",
            {f"{source}/{name}": value for name, value in figures.items()},
            {"split": clips.split, "clip_set": clips.name, "temporal_views": 1, "crops": 1},
        )
        return selection_figure(figures, multi_label=multi_label)

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
        clips = self.data.test
        source = results.provenance(
            self.config,
            clips,
            data_name=self.data.info.name,
            data_digest=dataset_digest(self.config.data.directory),
            step=step,
            checkpoint="latest",
            selection=selection(self.config),
            recogniser_digest=self.recogniser_digest,
        )
        folder = workdir / results.FOLDER / results.name_of(source)
        is_there = bool(from_first(np.bool_((folder / results.METRICS_FILE).exists())))
        if not is_there:
            with Activity(
                len(clips.index), is_shown=is_first(), console=self.progress.console
            ) as activity:
                result = self.evaluator.evaluate(
                    state.evaluated(), classes, clips, advance=activity.show
                )
            text = results.report(source, result, multi_label=self.data.info.multi_label)
            on_first(results.write, workdir, source, result, text)
            self.log.write(step, "evaluation", result.figures(), source)
        text = (folder / results.REPORT_FILE).read_text() if is_first() else ""
        best = self.checkpoints.best_step()
        chosen = "" if best is None else f" (the best is that of step {best})"
        return (
            f"{text}\n{workdir}: checkpoints of step {step}{chosen}, metrics.jsonl, TensorBoard's "
            f"events; the result in {folder.relative_to(workdir)}"
        )
