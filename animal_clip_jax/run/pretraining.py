"""Contrastive pretraining of an image–text model, in the order in which things happen."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from animal_clip_jax.conversion import weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import absolute, is_remote, write_whole
from animal_clip_jax.locks import only_writer
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.compile_ahead import compile_ahead
from animal_clip_jax.recognition.zero_shot import Recogniser
from animal_clip_jax.run import label_accuracy
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.interruption import InterruptionNotice
from animal_clip_jax.run.loop import Batch, Steps, TrainingLoop
from animal_clip_jax.run.metrics_log import MetricsLog
from animal_clip_jax.run.pretraining_settings import Settings, Surroundings, is_begun
from animal_clip_jax.run.pretraining_start import Start, start_of
from animal_clip_jax.run.profile import Profile
from animal_clip_jax.run.progress import Screen, TrainingProgress
from animal_clip_jax.run.run_description import RunDescription
from animal_clip_jax.run.tensorboard import TensorBoard
from animal_clip_jax.run.watch import StepWatch
from animal_clip_jax.run.workdir import PRETRAINING_FILE, git_revision
from animal_clip_jax.text.tokenizer import tokenize
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.contrastive import make_contrastive_step
from animal_clip_jax.training.state import abstract_state, create_state
from data_pipeline.pairs.index import NO_LABEL, PairIndex, PairSet

TABLE_FILE = "zero_shot.txt"
_WARMUP = 0.05  # share of the steps in which the rate rises
_KEPT = 2  # checkpoints


class _Test(NamedTuple):
    """The held-out pictures, and the labels that they are recognised by."""

    pairs: PairIndex
    seen: tuple[str, ...]
    given: label_accuracy.LabelTexts


def pretrain(settings: Settings, around: Surroundings) -> str:
    """Trains an image–text model on pairs, and writes its weights.

    The same call again goes on from the newest checkpoint in the workdir, to the same weights. A
    call for what has finished says once more how well it recognises.

    Returns:
        what to say of the weights: a table, where there are held-out pictures with labels.

    Raises:
        UserError: the pairs, the settings or the weights to start from do not fit; nothing has been
            written then. Or the workdir is of something else.
        DivergenceError: a loss or gradient is not finite; no checkpoint was written after it.
        Interrupted: the process was asked to stop, and has saved its state.
    """
    workdir = absolute(around.workdir)
    pairs = PairSet.open(around.data)
    index = pairs.index(settings.train_split)
    from data_pipeline.pairs.batches import check_batch_size

    check_batch_size(len(index), settings.batch_size)
    mesh = mesh_lib.make_mesh({"data": -1, "fsdp": around.fsdp, "model": 1})
    if settings.batch_size % mesh.size:
        raise UserError(
            f"--batch_size {settings.batch_size} does not divide among {mesh.size} devices; take a "
            f"multiple of {mesh.size}"
        )
    test = _test(pairs, index, around)
    start = start_of(settings)
    if around.profile and is_remote(workdir):
        raise UserError(f"--profile: a trace is written to a local workdir only, not {workdir}")
    record = {
        "settings": dataclasses.asdict(settings),
        "pairs": pairs.digest,
        "init_from": start.digest,
    }
    if not is_begun(workdir, record):
        weights.check_destination(around.output, overwrite=around.overwrite)
    with only_writer(workdir):
        write_whole(workdir / PRETRAINING_FILE, json.dumps(record, indent=2) + "\n")
        checkpoints = RunCheckpoints(workdir, keep=_KEPT, tidies=True)
        with contextlib.closing(checkpoints):
            if checkpoints.latest_step() != settings.steps:
                weights.check_destination(around.output, overwrite=around.overwrite)
            values = _train(settings, around, index, start, mesh, checkpoints, record)
        metadata = weights.WeightsMetadata(
            model=ModelDescription("clip", start.architecture),
            normalisation=start.normalisation,
            source_files={},
            fitted_to=f"{pairs.digest}/{settings.train_split}",
        )
        _write(around, values, metadata)
        said = f"{around.output}: an image–text model, for config.init_from"
        if test is None:
            return f"{said} ({pairs.directory} has no labelled pairs to recognise)"
        recogniser = Recogniser(start.graphdef, values, start.architecture, start.normalisation)
        found = label_accuracy.measure(recogniser, test.pairs, test.seen, test.given, mesh)
        table = label_accuracy.table(found, test.pairs.split)
        write_whole(workdir / TABLE_FILE, table + "\n")
        log = MetricsLog(workdir)
        if not log.holds(settings.steps, "evaluation"):
            log.write(settings.steps, "evaluation", {one.name: one.top1 for one in found})
        return f"{table}\n{said}"


def _test(pairs: PairSet, train: PairIndex, around: Surroundings) -> _Test | None:
    """The held-out pictures with labels; None if there are none, or they are trained on."""
    if around.test_split not in pairs.splits or around.test_split == train.split:
        if around.labels is not None:
            raise UserError(
                f"--labels is for held-out pictures, but {around.data} has no split "
                f"{around.test_split!r} beside that of the training; it has "
                f"{', '.join(pairs.splits)}"
            )
        return None
    index = pairs.index(around.test_split)

    def names_of(index: PairIndex) -> list[str]:
        return [pairs.label_names[label] for label in np.unique(index.labels) if label != NO_LABEL]

    held_out, seen = names_of(index), names_of(train)
    if not held_out:
        return None
    names = sorted({*held_out, *seen})
    return _Test(index, tuple(seen), label_accuracy.label_texts(around.labels, names))


def _optimizer(
    settings: Settings, abstract: Parameters
) -> tuple[dict[str, str], optax.GradientTransformation, optax.Schedule]:
    """The group of every parameter, the update, and the learning rate by step."""
    groups = dict.fromkeys(abstract, optimizer_lib.BASE)
    rate = optimizer_lib.learning_rate_schedule(
        settings.learning_rate,
        minimum=0.0,
        warmup_steps=round(_WARMUP * settings.steps),
        total_steps=settings.steps,
    )
    optimizer = optimizer_lib.build_optimizer(
        groups,
        {optimizer_lib.BASE: rate, optimizer_lib.NEW: rate},
        weight_decay=settings.weight_decay,
    )
    return groups, optimizer, rate


def _train(
    settings: Settings,
    around: Surroundings,
    index: PairIndex,
    start: Start,
    mesh: Mesh,
    checkpoints: RunCheckpoints,
    record: dict[str, Any],
) -> dict[str, np.ndarray]:
    """Takes the steps that are left; the parameters after the last one."""
    workdir = checkpoints.workdir
    groups, optimizer, rate = _optimizer(settings, start.abstract)
    done = checkpoints.latest_step() or 0
    with InterruptionNotice() as notice, Screen() as screen:
        screen.doing("preparing the model")
        if done:
            shapes, shardings = abstract_state(start.abstract, groups, optimizer, mesh=mesh)
            state, _ = checkpoints.restore(done, shapes, shardings)
        else:
            state, shardings = create_state(
                start.values(settings.seed), groups, optimizer, seed=settings.seed, mesh=mesh
            )
        compiling = None
        if done < settings.steps:
            step = make_contrastive_step(
                start.graphdef,
                optimizer,
                normalisation=start.normalisation,
                mesh=mesh,
                state_shardings=shardings,
            )
            compiling = compile_ahead(step, state, _batch_shapes(settings, start.architecture))
        log, tensorboard = MetricsLog(workdir), TensorBoard(workdir)
        progress = TrainingProgress(
            screen,
            start_step=done,
            total_steps=settings.steps,
            batch_size=settings.batch_size,
            rates=np.asarray(jax.vmap(rate)(np.arange(settings.steps))),
            unit="pairs",
        )
        description = RunDescription(
            config=record,
            action_names=(),
            animal_names=(),
            relation_counts=np.zeros((0, 0), np.int64),
            git_revision=git_revision(),
            data_digest=record["pairs"],
        )
        loop = TrainingLoop(
            steps=Steps(done, settings.steps, around.save_every, around.log_every),
            rate=rate,
            screen=screen,
            notice=notice,
            progress=progress,
            watch=StepWatch(workdir, checkpoints, unit="pairs"),
            profile=Profile(
                workdir / "profile" if around.profile else None,
                start_step=done,
                total_steps=settings.steps,
            ),
            log=log,
            tensorboard=tensorboard,
            checkpoints=checkpoints,
            save=lambda state, step: checkpoints.save(state, None, description, step),
            after_round=lambda state, step: True,
        )
        for note in (log.go_on(done), tensorboard.missing):
            if note:
                screen.say(note)
        screen.say(_opening(settings, index, start, mesh, done, workdir))
        batches = _batches(settings, index, start.architecture, mesh, done)
        screen.doing("")
        with progress, loop.profile:
            state = loop.run(compiling, state, batches)
    return jax.device_get(state.trained)


def _opening(
    settings: Settings,
    index: PairIndex,
    start: Start,
    mesh: Mesh,
    done: int,
    workdir: os.PathLike[str],
) -> str:
    epochs = settings.steps * settings.batch_size / len(index)
    count = sum(value.size for value in start.abstract.values())
    said = (
        f"{len(index)} pairs, {epochs:.1f} epochs of them; {count / 1e6:.1f} million parameters on "
        f"{mesh.size} device{'s' * (mesh.size > 1)}"
    )
    if done == settings.steps:
        return f"{said}\nthe pretraining in {workdir} has finished, with step {done}"
    if done:
        return f"{said}\ngoing on from step {done} of {settings.steps} in {workdir}"
    return said


def _batch_shapes(
    settings: Settings, architecture: ClipArchitecture
) -> dict[str, jax.ShapeDtypeStruct]:
    pairs, size = settings.batch_size, architecture.image_size
    return {
        "images": jax.ShapeDtypeStruct((pairs, size, size, 3), np.uint8),
        "tokens": jax.ShapeDtypeStruct((pairs, architecture.context_length), np.int32),
    }


def _batches(
    settings: Settings, index: PairIndex, architecture: ClipArchitecture, mesh: Mesh, done: int
) -> Iterator[Batch]:
    """The batches after a step, without end."""
    from data_pipeline.pairs.batches import training_batches

    for batch in training_batches(
        index,
        image_size=architecture.image_size,
        batch_size=settings.batch_size,
        seed=settings.seed,
        start_step=done,
        mirror=settings.mirror,
    ):
        tokens = tokenize(batch.texts, architecture.context_length)
        arrays = mesh_lib.put_batch({"images": batch.images, "tokens": tokens}, mesh)
        yield Batch(arrays, [str(row) for row in batch.rows])


def _write(
    around: Surroundings, values: dict[str, np.ndarray], metadata: weights.WeightsMetadata
) -> None:
    """Writes the weights, unless they are there already."""
    if weights.is_weights(around.output):
        there = weights.load_weights(around.output)
        if there.digest() == weights.digest_of(values) and there.metadata == metadata:
            return
    weights.save_weights(around.output, values, metadata, overwrite=around.overwrite)
