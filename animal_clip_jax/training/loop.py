"""The training run, in the order in which things happen."""

import math
import pathlib

import jax
import numpy as np
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.evaluation.run import Evaluator, action_counts
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.training import losses, preparation
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.checkpoints import RunCheckpoints, RunDescription
from animal_clip_jax.training.progress import MetricsFile, TrainingProgress
from animal_clip_jax.training.step import StepSettings, create_state, make_train_step

_ON_DEVICE = ("frames", "actions", "animals")


def train(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Trains, evaluates after epochs and at the end, and leaves checkpoints in `workdir`.

    The same command on the same workdir goes on from the newest checkpoint.

    Raises:
        FileNotFoundError, ValueError: the configuration, data or weights do not fit; nothing has
            been written then.
        FloatingPointError: the loss is not finite.
    """
    info = preparation.check_config(config)
    mesh = mesh_lib.make_mesh(config.mesh)
    mesh_lib.check_batch_size(config.batch_size, config.accumulation, mesh)
    # TensorFlow is imported here, and not by whoever only wants the model, or has a wrong path.
    from data_pipeline import input as input_pipeline

    steps_per_epoch = input_pipeline.steps_per_epoch(
        info, config.batch_size, config.data.train_split
    )
    total_steps = steps_per_epoch * config.epochs
    num_clips = info.split_sizes[config.data.train_split]

    graphdef, values = preparation.initial_parameters(config)
    groups = optimizer_lib.parameter_groups(values)
    base_rate = config.optimizer.learning_rate
    rates = {
        group: optimizer_lib.learning_rate_schedule(
            base_rate * multiplier,
            minimum=config.optimizer.minimum_learning_rate,
            warmup_steps=steps_per_epoch * config.warmup_epochs,
            total_steps=total_steps,
        )
        for group, multiplier in (
            (optimizer_lib.BASE, 1.0),
            (optimizer_lib.NEW, config.optimizer.new_multiplier),
        )
    }
    optimizer = optimizer_lib.build_optimizer(
        {path: group for path, group in groups.items() if group != optimizer_lib.FROZEN},
        rates,
        weight_decay=config.optimizer.weight_decay,
        beta1=config.optimizer.beta1,
        beta2=config.optimizer.beta2,
        epsilon=config.optimizer.epsilon,
    )
    counts = action_counts(config, info)
    host_classes = preparation.class_context(config, graphdef, values, info)
    preparation.claim_workdir(config, workdir)

    state, shardings = create_state(values, groups, optimizer, seed=config.seed, mesh=mesh)
    classes = jax.device_put(host_classes, NamedSharding(mesh, mesh_lib.REPLICATED))
    train_step = make_train_step(
        graphdef,
        optimizer,
        losses.build(config.loss, positives=counts, num_clips=num_clips),
        reduction=losses.REDUCTIONS[config.loss],
        settings=StepSettings(
            accumulation=config.accumulation,
            mean=tuple(config.data.mean),
            std=tuple(config.data.std),
            animal_source=config.animals.source,
            label_dropout=config.animals.label_dropout,
            **config.augmentation,
        ),
        mesh=mesh,
        state_shardings=shardings,
    )
    evaluator = Evaluator(
        config, graphdef, info, counts, mesh, {**shardings.trained, **shardings.frozen}
    )

    checkpoints = RunCheckpoints(workdir, keep=config.checkpoint.keep)
    description = RunDescription(
        config=config.to_dict(),
        action_names=info.action_names,
        animal_names=info.animal_names,
        relation_counts=info.relation_counts,
    )
    is_main = jax.process_index() == 0
    metrics_file = MetricsFile(workdir)
    start_step = checkpoints.latest_step() or 0
    if start_step:
        state, classes = checkpoints.restore(start_step, state, classes)
    batches = input_pipeline.train_batches(
        config.data.directory,
        num_frames=config.model.num_frames,
        image_size=config.model.architecture.image_size,
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=start_step,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        multi_scale_crop=config.data.multi_scale_crop,
        flip=config.data.flip,
        num_workers=config.data.num_workers or None,
        split=config.data.train_split,
    )
    progress = TrainingProgress(
        start_step=start_step,
        total_steps=total_steps,
        batch_size=config.batch_size,
        is_shown=is_main,
    )
    progress.say(_summary(config, info, values, groups, mesh))
    if start_step:
        progress.say(f"going on from step {start_step} of {total_steps} in {workdir}")

    with progress:
        for step in range(start_step + 1, total_steps + 1):
            host_batch = next(batches)
            batch = mesh_lib.put_batch({name: host_batch[name] for name in _ON_DEVICE}, mesh)
            state, metrics = train_step(state, batch, classes)

            if step % config.log_every_steps == 0 or step == total_steps:
                values_now = {name: float(value) for name, value in metrics.items()}
                if not math.isfinite(values_now["loss"]):
                    raise FloatingPointError(
                        f"the loss is {values_now['loss']} at step {step}; the last good "
                        f"checkpoint in {workdir} is of step {checkpoints.latest_step()}"
                    )
                rate = float(rates[optimizer_lib.BASE](step - 1))
                speed = progress.advance(step, values_now["loss"], rate)
                if is_main:
                    metrics_file.write(
                        step,
                        "train",
                        {**values_now, "learning_rate": rate, "clips_per_second": speed},
                    )

            if step % steps_per_epoch == 0:
                epoch = step // steps_per_epoch
                is_last = epoch == config.epochs
                if epoch % config.checkpoint.every_epochs == 0 or is_last:
                    checkpoints.save(state, classes, description, step)
                if epoch % config.evaluation.every_epochs == 0 and not is_last:
                    summary = evaluator.summarise({**state.trained, **state.frozen}, classes)
                    progress.say(f"epoch {epoch}: {evaluator.headline(summary)}")
                    if is_main:
                        metrics_file.write(step, "evaluation", summary)
                progress.restart_clock(step)
    checkpoints.close()

    summary, report = evaluator.report({**state.trained, **state.frozen}, classes)
    progress.say(report)
    if is_main:
        metrics_file.write(total_steps, "evaluation", summary)


def _summary(config, info, values, groups, mesh) -> str:
    counts = {name: 0 for name in (optimizer_lib.FROZEN, "trained")}
    for path, value in values.items():
        kind = optimizer_lib.FROZEN if groups[path] == optimizer_lib.FROZEN else "trained"
        counts[kind] += int(np.prod(value.shape))
    return (
        f"{config.model.family}: {counts['trained']:,} parameters trained, "
        f"{counts['frozen']:,} frozen; {len(info.action_names)} actions, "
        f"{len(info.animal_names)} animals, {info.split_sizes[config.data.train_split]} clips to "
        f"train on; {mesh.size} device(s); seed {config.seed}"
    )
