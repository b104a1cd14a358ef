"""Calibration of a trained run: a temperature, and thresholds, fitted on clips that it was not
trained on."""

import hashlib
import json
import os
from typing import Any

import numpy as np
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.evaluation import calibration as fitting
from animal_clip_jax.locks import only_writer
from animal_clip_jax.models.animal_sources import IN_WORDS, RECOGNISED
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.run import assembly, calibration, summary, workdir
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.attention import attention_in_use
from animal_clip_jax.run.calibration import Calibration
from animal_clip_jax.run.config import check_directory, source_without_labels
from animal_clip_jax.run.data import ClipSet, open_training_data, whole_split
from animal_clip_jax.run.evaluate import (
    check_labels_of,
    expected_recogniser,
    is_trained_on,
    mesh_for,
    open_for_use,
)
from animal_clip_jax.run.evaluator import Evaluator, Known, check_batch_size
from animal_clip_jax.run.figure_text import number_of_clips
from animal_clip_jax.run.interruption import InterruptionNotice
from animal_clip_jax.run.progress import Screen
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.tables import format_columns
from data_pipeline.dataset import DatasetInfo, dataset_digest, load_info

# Fewer clips give a temperature that other clips would not give, and bins of a handful of answers.
FEW_CLIPS = 100
_MOST_NAMED = 8


def calibrate(
    folder: str | os.PathLike[str], config: ConfigDict | None = None, *, split: str = ""
) -> str:
    """Fits the temperature of a run, and thresholds where each action has a probability of its own,
    and writes them into its folder: see `calibration.Calibration`. One process does it.

    The clips are looked at as predictions look at a video: in the views of `config.evaluation`, and
    with the animals that a video has which nobody labelled. The same clips give the same file.

    Args:
        folder: of the run.
        config: its own configuration, with fields of `run.config.FREE_WHEN_TRAINED` changed; None
            takes it as it is.
        split: of the data; "" takes the clips that were held out for the choice of the best
            checkpoint.

    Returns:
        lines to print.

    Raises:
        MissingFileError, UserError: there is no run or no data; no clips are held out and no split
            is given, or one that was trained on; the data has other labels; another process writes
            into the folder.
        Interrupted: the process was asked to stop.
    """
    with InterruptionNotice() as notice, Screen() as screen:
        screen.doing("opening the run and the data")
        run, config = open_for_use(folder, config)
        check_directory(config)
        info = load_info(config.data.directory)
        check_labels_of(info, run, config.data.directory)
        digest = dataset_digest(config.data.directory)
        is_own = is_trained_on(run, info, digest)
        clips = clips_to_fit(run, config, split, is_own=is_own)
        # Not while a training writes there: its checkpoint would soon be another.
        with only_writer(run.folder):
            logits, actions = _logits(run, config, info, clips, is_own, notice, screen)
            about = _about(clips, data=info.name, data_digest=digest)
            found = _fitted(run, config, clips, about, logits, actions)
            path = calibration.write(run.folder, found)
    is_test = is_own and clips.split == run.config.data.test_split
    return "\n\n".join(
        [_table(found, clips), *_notes(found, clips, is_test), f"Written: {summary.shown(path)}"]
    )


def clips_to_fit(run: TrainedRun, config: ConfigDict, split: str, *, is_own: bool) -> ClipSet:
    """The clips that a run is calibrated on: of a split, or those that it held out.

    Args:
        split: "" for those that were held out for the choice of the best checkpoint.
        is_own: the data is that which the run was trained on.

    Raises:
        UserError: there are none, or they were trained on.
    """
    options, directory = run.config.data, config.data.directory
    name = split or config.data.validation_split
    if name:
        if is_own and name == options.train_split:
            raise UserError(
                f"the model was trained on the clips of {name!r}, and is surer of them than of "
                "others; name a split that it was not trained on with --split=NAME"
            )
        return whole_split(directory, name)
    if not options.validation_share:
        raise UserError(
            f"{run.folder}: this run held out no clips (config.data.validation_split, "
            "config.data.validation_share) that it could be calibrated on; name a split that it "
            "was not trained on with --split=NAME, of other data with --config.data.directory=DIR"
        )
    if not is_own:
        raise UserError(
            f"the run held out a share of the clips that it was trained on, and {directory} is "
            "other data; name a split of it with --split=NAME"
        )
    held_out = open_training_data(run.with_data_at(directory).config).validation
    assert held_out is not None
    return held_out


def _logits(
    run: TrainedRun,
    config: ConfigDict,
    info: DatasetInfo,
    clips: ClipSet,
    is_own: bool,
    notice: InterruptionNotice,
    screen: Screen,
) -> tuple[np.ndarray, np.ndarray]:
    """The logits of the clips in all views, and what they show."""
    mesh = mesh_for(config, run)
    attention, note = attention_in_use(config, run, mesh)
    if note:
        screen.say(note)
    graphdef, _ = assembly.abstract_model(config.model, attention)
    check_batch_size(config, mesh)
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    values, classes = run.restore(replicated)
    source = source_without_labels(config)
    recognition = None
    if source in RECOGNISED:
        training = run.with_data_at(config.data.directory).config
        recognition = AnimalRecognition(
            config,
            run.folder,
            info.animal_names,
            mesh,
            train=open_training_data(training).train if is_own else None,
            digest=expected_recogniser(run, config),
            track=screen.track,
        )
    known = Known(info, info.relation_counts.sum(axis=0))
    evaluator = Evaluator(
        config, graphdef, known, mesh, replicated, recognition, wait_for=notice.wait_for
    )
    return evaluator.logits(
        values,
        classes,
        clips,
        temporal_views=config.evaluation.temporal_views,
        crops=config.evaluation.crops,
        animal_source=source,
        advance=lambda done: screen.track(f"looking at {clips.name}", done, len(clips.index)),
    )


def _fitted(
    run: TrainedRun,
    config: ConfigDict,
    clips: ClipSet,
    about: dict[str, Any],
    logits: np.ndarray,
    actions: np.ndarray,
) -> Calibration:
    outputs = assembly.outputs(config)
    found = fitting.fit_temperature(logits, actions, outputs)
    temperature = found or 1.0
    thresholds: dict[str, float] = {}
    default: list[str] = []
    if outputs == "sigmoid":
        probabilities = fitting.probabilities_of(logits, temperature, outputs)
        best = fitting.fit_thresholds(probabilities, actions)
        default = [
            label for label, value in zip(run.labels.actions, best, strict=True) if np.isnan(value)
        ]
        filled = np.where(np.isnan(best), fitting.DEFAULT_THRESHOLD, best).tolist()
        thresholds = dict(zip(run.labels.actions, filled, strict=True))
    return Calibration(
        step=run.step,
        checkpoint=calibration.checkpoint_digest(run),
        outputs=outputs,
        animal_source=source_without_labels(config),
        temperature=temperature,
        is_fitted=found is not None,
        thresholds=thresholds,
        default_thresholds=tuple(default),
        clips=about,
        views={
            "temporal_views": config.evaluation.temporal_views,
            "crops": config.evaluation.crops,
        },
        before=fitting.calibrated(logits, actions, 1.0, outputs),
        after=fitting.calibrated(logits, actions, temperature, outputs),
        # Clips of one video are alike: none is judged by what its neighbours gave.
        cross_fitted=fitting.cross_fitted(logits, actions, clips.index.videos, outputs),
        program=workdir.program(),
    )


def _about(clips: ClipSet, *, data: str, data_digest: str) -> dict[str, Any]:
    ids = json.dumps(clips.index.clip_ids).encode()
    return {
        "data": data,
        "data_sha256": data_digest,
        "split": clips.split,
        "clip_set": clips.name,
        "number": len(clips.index),
        "clip_ids_sha256": hashlib.sha256(ids).hexdigest(),
    }


def _table(found: Calibration, clips: ClipSet) -> str:
    views = found.views["temporal_views"] * found.views["crops"]
    each = "in one view" if views == 1 else f"in {views} views each"
    columns = {"before": found.before, "after": found.cross_fitted or found.after}
    rows = [["", *columns]]
    rows.append(["ECE", *(f"{100 * judged.ece:.1f} %" for judged in columns.values())])
    rows.append(["NLL", *(f"{judged.nll:.3f}" for judged in columns.values())])
    how = (
        "After: each clip at a temperature that was fitted without it."
        if found.cross_fitted
        else "After: of the very clips that the temperature was fitted on."
    )
    return (
        f"{clips.name}: {number_of_clips(len(clips.index))}, {each}, animals "
        f"{IN_WORDS[found.animal_source]}; step {found.step}\n"
        f"temperature {found.temperature:.3g}\n\n{format_columns(rows, labels=1)}\n\n{how}"
    )


def _notes(found: Calibration, clips: ClipSet, is_test: bool) -> list[str]:
    """What a person should know of the thresholds, and be warned of."""
    notes = []
    if found.thresholds:
        fitted = [
            threshold
            for label, threshold in found.thresholds.items()
            if label not in found.default_thresholds
        ]
        note = f"Thresholds of {len(fitted)} of {len(found.thresholds)} actions"
        if fitted:
            note += f", {min(fitted):.2f} to {max(fitted):.2f}"
        if found.default_thresholds:
            named = ", ".join(found.default_thresholds[:_MOST_NAMED])
            more = ", …" if len(found.default_thresholds) > _MOST_NAMED else ""
            note += (
                f"; {fitting.DEFAULT_THRESHOLD:g} where fewer than {fitting.LEAST_POSITIVES} clips "
                f"show an action, or it is not told apart: {named}{more}"
            )
        notes.append(note)
    if not found.is_fitted:
        notes.append(
            "warning: no temperature is the best one, as for clips that are all answered rightly; "
            "it stays 1"
        )
    if len(clips.index) < FEW_CLIPS:
        notes.append(
            f"warning: {number_of_clips(len(clips.index))} say little; better {FEW_CLIPS} or more"
        )
    if is_test:
        notes.append(
            "warning: these are the test clips of the run; how well it is calibrated on them no "
            "longer says how well it is on others"
        )
    return notes
