"""What `animal-clip predict --output=DIR` writes: results, files for other tools, pages, videos."""

import argparse
import contextlib
import os
from collections.abc import Iterator, Sequence

from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.command_line import did_you_mean, need
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_path
from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.table import (
    FORMATS,
    check_formats,
    left_out,
    write_formats,
)
from animal_clip_jax.inference.inputs import Input
from animal_clip_jax.inference.loading import load_as_configured
from animal_clip_jax.inference.media.told import Told
from animal_clip_jax.inference.media.write import write_media
from animal_clip_jax.inference.predict import animals_given
from animal_clip_jax.inference.predict_files import (
    TABLE_FILE,
    Engine,
    Summary,
    header_of,
    predict_files,
)
from animal_clip_jax.inference.predictor import Predictor
from animal_clip_jax.inference.results import RESULTS_FILE, Results
from animal_clip_jax.inference.results_folder import PARTS_FOLDER
from animal_clip_jax.inference.smoothing import EXPECTED_WINDOWS, Smoothing
from animal_clip_jax.inference.stream import Request
from animal_clip_jax.shares import Share

# Of videos that failed, as many are named.
_MOST_FAILED = 20


def predict_into(
    folder: str | os.PathLike[str],
    config: ConfigDict,
    videos: Sequence[Input],
    options: argparse.Namespace,
) -> tuple[str, ...]:
    """Opens a run, and writes what it says of videos; see `predict_files`.

    Args:
        folder: of the run.
        config: the run's configuration with fields of `run.config.FREE_WHEN_TRAINED` changed.
        videos: which.
        options: the flags of the command.

    Returns:
        the names of the videos that failed.

    Raises:
        UserError: as `predict.predict` and `predict_files`; or flags contradict each other.
    """
    request = _request(config, options)
    formats = _formats(options)
    share = _share(options)
    chosen = _format_options(options, config.predict.top_k)
    with _engine(folder, config, options, request) as engine:
        model = load_as_configured(folder, config, finds_blank=request.blank_below is not None)
        if options.report_attention:
            model.check_has_attention()
        if formats:
            header = header_of(model, request, options.save_embeddings)
            paths = [(video.name, str(video.path.absolute())) for video in videos]
            check_formats(header, paths, formats, as_path(options.output), chosen)
        summary = predict_files(
            model,
            videos,
            options.output,
            request,
            existing=options.existing,
            top_k=config.predict.top_k,
            save_embeddings=options.save_embeddings,
            share=share,
            engine=engine,
        )
    if not summary.is_gathered:
        _say_share(summary, share, options.output)
        return summary.failed
    if share is not None:
        print(f"share {share} was the last: the results of all shares are gathered")
    written, told = _write_outputs(model, options, formats, chosen)
    print(f"{summary.num_videos} videos, {summary.num_new} of them looked at now")
    _say_failed(summary, f"{options.output}/{TABLE_FILE}")
    print(f"results: {options.output}/{RESULTS_FILE} and {TABLE_FILE}")
    for name, files in written.items():
        print(f"{name}: {files[0] if len(files) == 1 else f'{len(files)} files, {files[0]}, …'}")
    for what, text, _ in told[:_MOST_FAILED]:
        print(f"  {what}: {text}")
    if len(told) > _MOST_FAILED:
        print(f"  and {len(told) - _MOST_FAILED} more")
    return tuple(dict.fromkeys([*summary.failed, *(what for what, _, bad in told if bad)]))


def _write_outputs(
    model: Predictor,
    options: argparse.Namespace,
    formats: Sequence[str],
    chosen: FormatOptions,
) -> tuple[dict[str, list[epath.Path]], list[Told]]:
    """All that is made of results: the files of each kind, and what there is to say of videos."""
    output = as_path(options.output)
    results = Results.open(output / RESULTS_FILE)
    written = write_formats(results, formats, output, chosen) if formats else {}
    told = [Told(*each) for each in left_out(results, formats, chosen)]
    if options.report or options.report_attention:
        # Here, not above: it takes time, and few need it.
        from animal_clip_jax.inference.report.write_report import write_report

        written["report"] = write_report(
            results,
            output,
            top_k=chosen.top_k,
            attend=model.attention if options.report_attention else None,
        )
    folders, of_media = write_media(
        results,
        output,
        videos=options.save_video,
        clips=options.save_clips,
        threshold=chosen.threshold,
    )
    return written | folders, told + of_media


def _say_share(summary: Summary, share: Share | None, output: str) -> None:
    print(f"share {share}: {summary.num_videos} videos, {summary.num_new} looked at now")
    _say_failed(summary, f"{output}/{PARTS_FOLDER}")
    if summary.num_left:
        print(f"{summary.num_left} videos of other shares have no result yet")
    else:
        print("all shares are done; another process is writing the files, or has")


def _say_failed(summary: Summary, place: str) -> None:
    for name in summary.failed[:_MOST_FAILED]:
        print(f"  not, or not to its end: {name}")
    if summary.failed:
        print(f"{len(summary.failed)} with a problem, see {place}")


def _formats(options: argparse.Namespace) -> list[str]:
    formats = [name.strip() for name in options.format.split(",") if name.strip()]
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"--format: there is no {name!r}{did_you_mean(name, FORMATS)}")
    return formats


def _format_options(options: argparse.Namespace, top_k: int) -> FormatOptions:
    return FormatOptions(
        threshold=options.threshold or None,
        top_k=top_k,
        time_bin=options.time_bin or FormatOptions.time_bin,
        deployments=options.deployments and epath.Path(options.deployments),
        scientific_names=options.scientific_names and epath.Path(options.scientific_names),
    )


def _request(config: ConfigDict, options: argparse.Namespace) -> Request:
    window, stride = options.window, options.stride
    if window is None:
        for name in ("stride", "expected_bout", "least_bout", "threshold", "save_clips"):
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
            stride,
            options.expected_bout or EXPECTED_WINDOWS * window,
            options.least_bout,
            options.threshold,
        )
    return Request(
        window=window,
        stride=stride,
        smoothing=smoothing,
        animals=animals_given(config),
        blank_below=options.blank_below,
        batch_size=options.batch_size,
        workers=options.workers,
    )


def _share(options: argparse.Namespace) -> Share | None:
    if options.shard is None:
        return None
    share = Share.parse(options.shard)
    if options.engine == "ray":
        raise UserError("--shard is for processes without Ray, which deals out the videos itself")
    if options.existing != "skip":
        raise UserError(
            f"--existing={options.existing} would have each share remove what the others write; "
            "remove the output, or choose another"
        )
    return share


@contextlib.contextmanager
def _engine(
    folder: str | os.PathLike[str],
    config: ConfigDict,
    options: argparse.Namespace,
    request: Request,
) -> Iterator[Engine | None]:
    if options.engine != "ray":
        if options.address is not None:
            raise UserError("--address is for --engine=ray, the address of a Ray cluster")
        yield None
        return
    need("ray")
    from animal_clip_jax.inference import ray_engine
    from animal_clip_jax.ray_cluster import joined

    job = ray_engine.Job(
        run=os.path.abspath(folder),
        config=config,
        request=request,
        folder=os.path.abspath(options.output),
        save_embeddings=options.save_embeddings,
        directory=os.getcwd(),
    )
    ray_engine.stay_on_cpu()
    with joined(options.address):
        yield lambda videos: ray_engine.predict_on_ray(job, videos)
