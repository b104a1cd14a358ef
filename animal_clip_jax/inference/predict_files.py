"""`animal-clip predict --output`: very many videos, whose results are kept and handed on.

The folder holds `results.jsonl`, a line for each video, written when it is finished: after a stop,
the same command goes on after the last whole line. All other files are made of it at the end.
"""

import csv
import dataclasses
import datetime
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence

from etils import epath

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import append, as_local_path, as_path, write_whole
from animal_clip_jax.inference.answers import GIVEN
from animal_clip_jax.inference.embeddings import Embeddings
from animal_clip_jax.inference.inputs import Input
from animal_clip_jax.inference.predictor import Predictor
from animal_clip_jax.inference.results import (
    RESULTS_FILE,
    Header,
    Results,
    VideoResult,
    result_line,
    top,
)
from animal_clip_jax.inference.results_folder import (
    appended_part,
    begin,
    check_same_request,
    failures,
    gather,
    has_parts,
    names_done,
    write_part,
)
from animal_clip_jax.inference.stream import Request, predict_stream, with_thresholds
from animal_clip_jax.inference.video_progress import VideoProgress
from animal_clip_jax.locks import BeingWrittenError, is_free, only_writer
from animal_clip_jax.shares import (
    Share,
    no_share_is_written,
    only_writer_of_share,
    writer_in_turn,
)
from animal_clip_jax.version import VERSION

TABLE_FILE = "results.csv"
EMBEDDINGS_FILE = "embeddings.npz"
READ_ME_FILE = "README.txt"
_BLANK_BELOW = "blank_below"  # in the settings, where it was asked for


# Has the videos looked at that are handed to it, as parts of the results in a folder.
Engine = Callable[[Sequence[Input]], None]


@dataclasses.dataclass(frozen=True)
class Summary:
    """What came of a prediction.

    Attributes:
        num_videos: that were asked for; of a share, those in it.
        num_new: of them looked at now.
        failed: names of those that the model says nothing of, and of those that break off.
        num_left: videos of other shares that have no result yet.
        is_gathered: whether all results are in the files of this folder, written by this process;
            else they are in parts, and another process has them gathered, or will.
    """

    num_videos: int
    num_new: int
    failed: tuple[str, ...]
    num_left: int = 0
    is_gathered: bool = True


def predict_files(
    model: Predictor,
    videos: Sequence[Input],
    output: str | os.PathLike[str],
    request: Request,
    *,
    existing: str = "skip",
    top_k: int = 5,
    save_embeddings: bool = False,
    share: Share | None = None,
    engine: Engine | None = None,
) -> Summary:
    """Predicts videos and writes what the model says of them.

    Args:
        model: see `loading.load`.
        videos: see `inputs.find_inputs`.
        output: a folder that is new, empty, or holds the results of the same request.
        request: what is wanted of each video.
        existing: of results that are there: "skip" the videos that have one, "overwrite" all, or
            take any for an "error".
        top_k: actions and animals of a video in the table.
        save_embeddings: whether the features of all videos are written too, (videos, embed_dim).
        share: of the videos that are looked at, where other processes look at the others. The last
            one of them writes the files.
        engine: has the videos looked at, elsewhere; None does it here.

    Raises:
        UserError: the folder holds something else, the results of another request, or any and that
            is an error; somebody else writes there; or no video can be looked at.
    """
    if not videos or all(video.problem for video in videos):
        reasons = "; ".join(f"{video.path}: {video.problem}" for video in videos[:3])
        raise UserError(f"no video to look at: {reasons}")
    folder = as_path(as_local_path(output, "the output of a prediction"))
    if not is_free(folder, RESULTS_FILE):
        raise UserError(f"{folder} is not empty and holds no results; choose another --output")
    request = with_thresholds(model, request)
    header = header_of(model, request, save_embeddings)
    embeddings = _embeddings(folder) if save_embeddings else None
    if share is not None:
        with writer_in_turn(folder):
            begin(folder, header, "skip")
        return _predict_share(model, videos, folder, request, share, embeddings, top_k)
    with only_writer(folder), no_share_is_written(folder):
        begin(folder, header, existing)
        done = names_done(folder)
        waiting = [video for video in videos if video.name not in done]
        if engine is not None:
            if waiting:
                engine(waiting)
        else:
            # What others have begun in parts is put in order when all is there.
            is_begun = has_parts(folder)
            path = appended_part(folder, "rest") if is_begun else folder / RESULTS_FILE
            _append_results(model, waiting, request, path, embeddings)
        failed = _finish(folder, videos, embeddings, top_k)
    return Summary(len(videos), len(waiting), failed)


def _predict_share(
    model: Predictor,
    videos: Sequence[Input],
    folder: epath.Path,
    request: Request,
    share: Share,
    embeddings: Embeddings | None,
    top_k: int,
) -> Summary:
    own = [video for video in videos if share.has(video.name)]
    with only_writer_of_share(folder, share):
        done = names_done(folder)
        waiting = [video for video in own if video.name not in done]
        if waiting:
            path = appended_part(folder, f"share-{share.file_name}")
            _append_results(model, waiting, request, path, embeddings)
    failed = failures(folder, {video.name for video in own})
    summary = Summary(len(own), len(waiting), failed, is_gathered=False)
    done = names_done(folder)
    left = sum(video.name not in done for video in videos)
    if left:
        return dataclasses.replace(summary, num_left=left)
    # Whoever finds another one at work here leaves it to that one, which is the last to end and so
    # finds that all is there.
    try:
        with writer_in_turn(folder), no_share_is_written(folder):
            if has_parts(folder) or not (folder / TABLE_FILE).exists():
                _finish(folder, videos, embeddings, top_k)
                return dataclasses.replace(summary, is_gathered=True)
    except BeingWrittenError:
        pass
    return summary


def write_group(
    model: Predictor,
    videos: Sequence[Input],
    folder: epath.Path,
    request: Request,
    *,
    save_embeddings: bool = False,
) -> None:
    """Predicts a few videos into a part of the results in a folder, whole or not at all.

    Args:
        model: see `loading.load`.
        videos: those that have no result yet.
        folder: which `predict_files` is writing into, on this machine or another.
        request: as for `predict_files`.
        save_embeddings: likewise.

    Raises:
        UserError: the results in the folder are those of another request.
    """
    request = with_thresholds(model, request)
    check_same_request(folder, header_of(model, request, save_embeddings))
    embeddings = _embeddings(folder) if save_embeddings else None
    lines = _result_lines(model, videos, request, embeddings)
    write_part(folder, [video.name for video in videos], lines)


def _embeddings(folder: epath.Path) -> Embeddings:
    return Embeddings(folder / "embeddings")


def _finish(
    folder: epath.Path, videos: Sequence[Input], embeddings: Embeddings | None, top_k: int
) -> tuple[str, ...]:
    """Writes all that is made of the results; the names of the videos that failed."""
    if has_parts(folder):
        gather(folder, [video.name for video in videos])
    results = Results.open(folder / RESULTS_FILE)
    _write_table(folder / TABLE_FILE, results, top_k)
    if embeddings is not None:
        embeddings.gather(folder / EMBEDDINGS_FILE, [result.name for result in results])
    _write_read_me(folder, results)
    return failures(folder, {video.name for video in videos})


def header_of(model: Predictor, request: Request, save_embeddings: bool) -> Header:
    """What the results of a prediction that begins now have in common."""
    settings = {
        **{name: value for name, value in dataclasses.asdict(request).items() if value is not None},
        "preprocessing": dataclasses.asdict(model.preprocessing),
        "views": dataclasses.asdict(model.views),
    }
    # What does not change what comes out.
    for name in ("workers", "batch_size"):
        settings.pop(name)
    settings["animals"] = list(request.animals)
    # Of videos that have a result already there would be none.
    settings["save_embeddings"] = save_embeddings
    # Not where there is none, or results of older versions would be those of another request.
    if model.calibration is not None:
        settings["temperature"] = model.calibration.temperature
        if model.thresholds is not None and request.window is None:
            settings["thresholds"] = dict(zip(model.actions, model.thresholds, strict=True))
    run = "weights" if model.run is None else f"{model.run.folder}, step {model.run.step}"
    return Header(
        actions=model.actions,
        animals=model.animals,
        multi_label=model.judges_each_action,
        animal_source=GIVEN if request.animals else model.animal_source,
        model=run,
        software=f"animal_clip_jax {VERSION}",
        made=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        settings=json.loads(json.dumps(settings)),
    )


def _append_results(
    model: Predictor,
    videos: Sequence[Input],
    request: Request,
    path: epath.Path,
    embeddings: Embeddings | None,
) -> None:
    with VideoProgress(len(videos)) as bar:
        for line in _result_lines(model, videos, request, embeddings, bar.advance):
            append(path, line)


def _result_lines(
    model: Predictor,
    videos: Sequence[Input],
    request: Request,
    embeddings: Embeddings | None,
    advance: Callable[[float, int], None] = lambda done, pieces: None,
) -> Iterator[str]:
    for result, embedding in predict_stream(model, videos, request, advance=advance):
        if embeddings is not None:
            embeddings.add(result.name, embedding)
        yield result_line(result)


def _write_table(path: epath.Path, results: Results, top_k: int) -> None:
    header = results.header
    numbers = range(1, top_k + 1)
    columns = ["video", "problem", "duration"]
    if _BLANK_BELOW in header.settings:
        columns += ["presence", "blank"]
    columns += [name for k in numbers for name in (f"action_{k}", f"probability_{k}")]
    animals = [k for k in numbers if k <= len(header.animals)]
    columns += [name for k in animals for name in (f"animal_{k}", f"animal_probability_{k}")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for result in results:
        writer.writerow(_row(result, header, top_k, len(animals), len(columns)))
    write_whole(path, text.getvalue())


def _row(
    result: VideoResult, header: Header, top_k: int, num_animals: int, num_columns: int
) -> list[str]:
    cells = [result.name, result.problem]
    cells.append("" if result.media is None else f"{result.media.duration:.3f}")
    if _BLANK_BELOW in header.settings:
        cells.append("" if result.presence is None else f"{result.presence:.4f}")
        cells.append(str(result.blank).lower() if result.is_answered else "")
    if result.is_answered and not result.blank:
        actions = top(header.actions, result.actions, top_k)
        actions += [("", 0.0)] * (top_k - len(actions))
        animals = [pair for pair in top(header.animals, result.animals, num_animals) if pair[1] > 0]
        for name, probability in (*actions, *animals):
            cells += [name, f"{probability:.4f}" if name else ""]
    return cells + [""] * (num_columns - len(cells))


def _write_read_me(folder: epath.Path, results: Results) -> None:
    files: tuple[tuple[str, str], ...] = (
        (RESULTS_FILE, "a line of JSON for each video, after a first line with the settings"),
        (TABLE_FILE, "the likeliest actions and animals of each video"),
        (EMBEDDINGS_FILE, "the features of the videos, by name, for NumPy"),
    )
    lines = [
        f"What {results.header.model} says of videos, by {results.header.software}.",
        "",
        *(f"{name:<16} {text}" for name, text in files if (folder / name).exists()),
        "",
        "The same command again goes on where it was.",
    ]
    write_whole(folder / READ_ME_FILE, "".join(f"{line}\n" for line in lines))
