"""The training run, in the order in which things happen."""

import contextlib
import pathlib

import jax
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.parallel import accelerator
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.distributed import check_same_config, on_all, on_first
from animal_clip_jax.run import assembly as preparation
from animal_clip_jax.run import summary
from animal_clip_jax.run.animals import (
    AnimalRecognition,
    check_learnable,
    sources_in,
    training_source,
)
from animal_clip_jax.run.checkpoints import RunCheckpoints, RunDescription
from animal_clip_jax.run.evaluator import Evaluator, action_counts, check_batch_size
from animal_clip_jax.run.interruption import Interrupted, InterruptionNotice
from animal_clip_jax.run.progress import MetricsLog, TrainingProgress
from animal_clip_jax.run.watch import StepWatch
from animal_clip_jax.training import losses
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.step import create_state, make_train_step

_ON_DEVICE = ("frames", "actions", "animals", "animal_weights")
_PROFILED_STEPS = (5, 10)  # after the start: compiled and warm by then


def train(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Trains, evaluates after epochs and at the end, and leaves checkpoints in `workdir`.

    The same command on the same workdir goes on from the newest checkpoint.

    Raises:
        FileNotFoundError, ValueError: the configuration, data or weights do not fit; nothing has
            been written then.
        FloatingPointError: a loss or gradient is not finite; no checkpoint was written after it.
        Interrupted: the process was asked to stop, and has saved its state.
    """
    with InterruptionNotice() as notice:
        _train(config, workdir, notice)


def _train(config: ConfigDict, workdir: pathlib.Path, notice: InterruptionNotice) -> None:
    check_same_config(preparation.flat_config(config))
    info = on_all(preparation.check_config, config)
    mesh = mesh_lib.make_mesh(config.mesh)
    mesh_lib.check_batch_size(config.batch_size, config.accumulation, mesh)
    check_batch_size(config, mesh)
    part, parts = mesh_lib.process_share(mesh)
    # TensorFlow is imported here, and not by whoever only wants the model, or has a wrong path.
    from data_pipeline.batches import input as input_pipeline

    steps_per_epoch = input_pipeline.steps_per_epoch(
        info, config.batch_size, config.data.train_split
    )
    total_steps = steps_per_epoch * config.epochs
    graphdef, values = on_all(preparation.initial_parameters, config)
    groups = optimizer_lib.parameter_groups(values, refinement=config.model.refinement)
    optimizer, rates = preparation.make_optimizer(config, groups, steps_per_epoch=steps_per_epoch)
    counts = action_counts(config, info)
    is_main = jax.process_index() == 0
    host_classes = preparation.class_context(
        config, graphdef, values, info, mesh, print if is_main else lambda note: None
    )
    recognition = None
    if sources_in(config):
        on_all(check_learnable, config)
        recognition = AnimalRecognition(config, workdir, info.animal_names, mesh, fits_head=True)
    on_first(preparation.claim_workdir, config, workdir)

    state, shardings = create_state(
        values,
        groups,
        optimizer,
        seed=config.seed,
        mesh=mesh,
        with_averages=config.optimizer.ema_decay > 0,
    )
    classes = jax.device_put(host_classes, NamedSharding(mesh, mesh_lib.REPLICATED))
    train_step = make_train_step(
        graphdef,
        optimizer,
        losses.build(
            config.loss, positives=counts, num_clips=info.split_sizes[config.data.train_split]
        ),
        reduction=losses.REDUCTIONS[config.loss],
        settings=preparation.step_settings(config),
        mesh=mesh,
        state_shardings=shardings,
    )
    evaluator = Evaluator(
        config,
        graphdef,
        info,
        counts,
        mesh,
        {**shardings.trained, **shardings.frozen},
        recognition,
        is_stopped=notice.is_due,
    )
    checkpoints = RunCheckpoints(workdir, keep=config.checkpoint.keep, tidies=True)
    description = RunDescription(
        config=config.to_dict(),
        action_names=info.action_names,
        animal_names=info.animal_names,
        relation_counts=info.relation_counts,
        git_revision=preparation.git_revision(),
    )
    log = MetricsLog(workdir, is_written=is_main)
    start_step = checkpoints.latest_step() or 0
    if start_step:
        state, classes = checkpoints.restore(start_step, state, classes)
    told_by = training_source(config)
    animal_weights = None
    if recognition is not None and told_by is not None:
        animal_weights = recognition.weights(told_by, config.data.train_split, is_training=True)
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
    )
    progress = TrainingProgress(
        start_step=start_step,
        total_steps=total_steps,
        batch_size=config.batch_size,
        is_shown=is_main,
    )
    if is_main:
        table = summary.parameter_table(state.trained | state.frozen, groups)
        (workdir / "parameters.txt").write_text(table, encoding="utf-8")
    progress.say(summary.opening(config, info, state, mesh))
    if start_step:
        progress.say(f"going on from step {start_step} of {total_steps} in {workdir}")

    watch = StepWatch(workdir, checkpoints)
    compiled_step = None
    # Closing waits for a checkpoint that is being saved, whatever ends the steps.
    with progress, contextlib.closing(checkpoints):
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
            if config.profile and step == start_step + _PROFILED_STEPS[0]:
                jax.profiler.start_trace(str(workdir / "profile"))
            state, metrics = compiled_step(state, batch, classes)
            watch.add(step, metrics, list(host_batch["clip_id"]))
            if config.profile and step == start_step + _PROFILED_STEPS[1]:
                jax.block_until_ready(state)
                jax.profiler.stop_trace()

            if step % config.log_every_steps == 0 or step == total_steps:
                figures = watch.check()
                figures["learning_rate"] = float(rates[optimizer_lib.BASE](step - 1))
                figures |= progress.advance(step, figures)
                log.write(step, "train", figures)

            is_interrupted = notice.is_due()
            if step % steps_per_epoch == 0 or is_interrupted:
                watch.check()
                epoch, rest = divmod(step, steps_per_epoch)
                is_last = step == total_steps
                metric = None
                if not rest and epoch % config.evaluation.every_epochs == 0 and not is_interrupted:
                    try:
                        scored = evaluator.score(state.evaluated(), classes)
                    except Interrupted:
                        is_interrupted = True
                    else:
                        evaluation = evaluator.summarise(scored)
                        metric = evaluator.selection_metric(evaluation)
                        source = config.evaluation.animal_sources[0]
                        progress.say(
                            f"epoch {epoch}, animals from {source}: "
                            f"{evaluator.headline(evaluation)}"
                        )
                        log.write(
                            step,
                            "evaluation",
                            {f"{source}/{name}": value for name, value in evaluation.items()},
                        )
                is_due = not rest and epoch % config.checkpoint.every_epochs == 0
                if is_due or is_last or is_interrupted:
                    checkpoints.save(state, classes, description, step, metric=metric)
                progress.restart_clock(step)
            if is_interrupted:
                checkpoints.wait()
                raise Interrupted(
                    f"stopped by SIGTERM; step {step} of {total_steps} is saved in "
                    f"{workdir}: run the same command again to go on"
                )
        checkpoints.wait()
        best_step = checkpoints.best_step()

    figures, report = evaluator.report(
        state.evaluated(),
        classes,
        per_class_path=workdir / "per_class.csv" if is_main else None,
    )
    progress.say(report)
    log.write(total_steps, "evaluation", figures)
    best = "" if best_step is None else f" (the best so far of step {best_step})"
    progress.say(
        f"\n{workdir}: checkpoints of step {total_steps}{best}, metrics.jsonl, per_class.csv "
        f"(animals from {config.evaluation.animal_sources[0]}), TensorBoard's events"
    )
