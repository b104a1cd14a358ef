"""What `animal-clip predict` and `--mode=predict` do: answers as text, or written into a folder."""

import argparse
import os
from collections.abc import Sequence

from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.classes.vocabulary import names_or
from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_path, check_is_file
from animal_clip_jax.inference.answers import Answer
from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.table import FORMATS, write_formats
from animal_clip_jax.inference.inputs import Input
from animal_clip_jax.inference.loading import load
from animal_clip_jax.inference.predict_files import TABLE_FILE, predict_files
from animal_clip_jax.inference.predictor import GIVEN, Predictor
from animal_clip_jax.inference.results import RESULTS_FILE, Results
from animal_clip_jax.inference.smoothing import Smoothing
from animal_clip_jax.inference.stream import Request
from animal_clip_jax.models.animal_sources import IN_WORDS
from data_pipeline.limits import shown

# Of videos that failed, as many are named.
_MOST_FAILED = 20


def predict(folder: str | os.PathLike[str], config: ConfigDict, videos: Sequence[str] = ()) -> str:
    """Opens a run, and says what happens in videos.

    Args:
        folder: of the run.
        config: the run's configuration with fields of `run.config.FREE_WHEN_TRAINED` changed.
        videos: paths; none takes the one that `config.predict.video` names.

    Returns:
        lines to print.

    Raises:
        UserError: there is no such run, video, animal or list of labels; or the configuration
            contradicts what was trained.
    """
    options = config.predict
    if not videos and not options.video:
        raise UserError("config.predict.video is empty; give the path of a video")
    paths = [str(check_is_file(video, "a video")) for video in videos or [options.video]]
    model = _opened(folder, config)
    animals = _animals_given(config)
    if len(paths) == 1:
        return as_text(model.predict(paths[0], animals=animals), top_k=options.top_k)
    answers = model.predict(paths, animals=animals)
    texts = [as_text(answer, top_k=options.top_k) for answer in answers]
    return "\n\n".join(f"{shown(path)}\n{text}" for path, text in zip(paths, texts, strict=True))


def predict_into(
    folder: str | os.PathLike[str],
    config: ConfigDict,
    videos: Sequence[Input],
    options: argparse.Namespace,
) -> tuple[str, ...]:
    """Opens a run, and writes what it says of videos; see `predict_files`.

    Args:
        folder: of the run.
        config: as for `predict`.
        videos: which.
        options: the flags of the command.

    Returns:
        the names of the videos that failed.

    Raises:
        UserError: as `predict` and `predict_files`.
    """
    request = _request(config, options)
    formats = [name.strip() for name in options.format.split(",") if name.strip()]
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"--format: there is no {name!r}{did_you_mean(name, FORMATS)}")
    model = _opened(folder, config)
    summary = predict_files(
        model,
        videos,
        options.output,
        request,
        existing=options.existing,
        top_k=config.predict.top_k,
        save_embeddings=options.save_embeddings,
    )
    written = _write_formats(formats, options, config.predict.top_k)
    print(f"{summary.num_videos} videos, {summary.num_new} of them looked at now")
    for name in summary.failed[:_MOST_FAILED]:
        print(f"  not, or not to its end: {name}")
    if summary.failed:
        print(f"{len(summary.failed)} with a problem, see {options.output}/{TABLE_FILE}")
    print(f"results: {options.output}/{RESULTS_FILE} and {TABLE_FILE}")
    for name, paths in written.items():
        print(f"{name}: {paths[0] if len(paths) == 1 else f'{len(paths)} files, {paths[0]}, …'}")
    return summary.failed


def _write_formats(
    names: Sequence[str], options: argparse.Namespace, top_k: int
) -> dict[str, list[epath.Path]]:
    if not names:
        return {}
    chosen = FormatOptions(
        threshold=options.threshold or FormatOptions.threshold,
        top_k=top_k,
        time_bin=options.time_bin or FormatOptions.time_bin,
        deployments=options.deployments and epath.Path(options.deployments),
        scientific_names=options.scientific_names and epath.Path(options.scientific_names),
    )
    folder = as_path(options.output)
    return write_formats(Results.open(folder / RESULTS_FILE), names, folder, chosen)


def _request(config: ConfigDict, options: argparse.Namespace) -> Request:
    window, stride = options.window, options.stride
    if window is None:
        for name in ("stride", "expected_bout", "least_bout", "threshold"):
            if getattr(options, name):
                raise UserError(f"--{name} is for --window=SECONDS, which makes bouts")
    smoothing = None
    if window is not None:
        stride = stride or window / 2
        if stride > window:
            raise UserError(
                f"--stride={stride:g} is longer than --window={window:g}: nothing would be seen in "
                "between"
            )
        smoothing = Smoothing(
            stride, options.expected_bout or 2 * window, options.least_bout, options.threshold
        )
    return Request(
        window=window,
        stride=stride,
        smoothing=smoothing,
        animals=_animals_given(config),
        batch_size=options.batch_size,
        workers=options.workers,
    )


def as_text(answer: Answer, *, top_k: int) -> str:
    """The animals, then the most probable actions, a line each, and what there is to note.

    Animals that would be listed with 0% are left out.
    """
    lines = [_animals(answer)]
    lines += [f"{probability:7.2%}  {name}" for name, probability in answer.actions[:top_k]]
    if answer.note:
        lines.append(f"note: {answer.note}")
    return "\n".join(lines)


def _opened(folder: str | os.PathLike[str], config: ConfigDict) -> Predictor:
    model = load(folder, config=config)
    labels = (
        names_or(config.predict.action_labels, model.actions),
        names_or(config.predict.animal_labels, model.animals),
    )
    if labels != tuple(model.labels):
        model = model.with_actions(labels[0], animals=labels[1])
    return model


def _animals_given(config: ConfigDict) -> tuple[str, ...]:
    return tuple(name.strip() for name in config.predict.animals.split(";") if name.strip())


def _animals(answer: Answer) -> str:
    if not answer.animals:
        return "animals: not given to the model"
    if answer.animal_source == GIVEN:
        return f"animals: {', '.join(name for name, _ in answer.animals)} (given)"
    shares = [(name, f"{probability:.0%}") for name, probability in answer.animals]
    listed = [(name, share) for name, share in shares if share != "0%"]
    # Of very many animals none may reach a percent.
    listed = listed or [(shares[0][0], "less than 1%")]
    names = ", ".join(f"{name} {share}" for name, share in listed)
    return f"animals: {names} (recognised, {IN_WORDS[answer.animal_source]})"
