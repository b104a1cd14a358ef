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
from collections.abc import Sequence

import numpy as np
from etils import epath
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from animal_clip_jax.errors import UserError, quoted
from animal_clip_jax.files import as_local_path, as_path, write_whole
from animal_clip_jax.inference.inputs import Input
from animal_clip_jax.inference.predictor import GIVEN, Predictor
from animal_clip_jax.inference.results import (
    RESULTS_FILE,
    Header,
    Results,
    VideoResult,
    header_line,
    result_line,
    top,
)
from animal_clip_jax.inference.stream import Request, predict_stream
from animal_clip_jax.locks import is_free, only_writer
from animal_clip_jax.version import VERSION

TABLE_FILE = "results.csv"
EMBEDDINGS_FILE = "embeddings.npz"
READ_ME_FILE = "README.txt"


@dataclasses.dataclass(frozen=True)
class Summary:
    """What came of a prediction.

    Attributes:
        num_videos: that were asked for.
        num_new: of them looked at now.
        failed: names of those that the model says nothing of, and of those that break off.
    """

    num_videos: int
    num_new: int
    failed: tuple[str, ...]


def predict_files(
    model: Predictor,
    videos: Sequence[Input],
    output: str | os.PathLike[str],
    request: Request,
    *,
    existing: str = "skip",
    top_k: int = 5,
    save_embeddings: bool = False,
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
    with only_writer(folder):
        path = folder / RESULTS_FILE
        header = _header(model, request, save_embeddings)
        done = _begin(path, header, existing)
        known = {result.name for result in Results.open(path)} if done else set()
        waiting = [video for video in videos if video.name not in known]
        embeddings = _Embeddings(folder / "embeddings") if save_embeddings else None
        _go_on(model, waiting, request, path, embeddings)
        results = Results.open(path)
        wanted = {video.name for video in videos}
        failed = tuple(
            result.name for result in results if result.problem and result.name in wanted
        )
        _write_table(folder / TABLE_FILE, results, top_k)
        if embeddings is not None:
            embeddings.gather(folder / EMBEDDINGS_FILE, [result.name for result in results])
        _write_read_me(folder, results)
    return Summary(len(videos), len(waiting), failed)


def _header(model: Predictor, request: Request, save_embeddings: bool) -> Header:
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


def _begin(path: epath.Path, header: Header, existing: str) -> bool:
    """Makes the file of results ready to be written to; whether it holds results already."""
    if not path.exists() or existing == "overwrite":
        write_whole(path, header_line(header))
        return False
    if existing == "error":
        raise UserError(f"{path} is there already; --existing=skip goes on, =overwrite begins anew")
    found = Results.open(path).header
    for field in dataclasses.fields(header):
        before, now = getattr(found, field.name), getattr(header, field.name)
        if field.name not in ("made", "software", "model") and before != now:
            what, before, now = _difference(field.name, before, now)
            raise UserError(
                f"{path} has results of another request: its {what} is {quoted(before)}, now it is "
                f"{quoted(now)}; choose another --output, or --existing=overwrite"
            )
    _cut_half_a_line(path)
    return True


def _difference(name: str, before: object, now: object) -> tuple[str, object, object]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}, key=lambda key: (isinstance(now.get(key), dict), key)):
            if before.get(key) != now.get(key):
                return key, before.get(key), now.get(key)
    return name, before, now


def _cut_half_a_line(path: epath.Path) -> None:
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        while size:
            start = max(size - (1 << 20), 0)
            file.seek(start)
            end = file.read(size - start).rfind(b"\n")
            if end >= 0:
                file.truncate(start + end + 1)
                return
            size = start


def _go_on(
    model: Predictor,
    videos: Sequence[Input],
    request: Request,
    path: epath.Path,
    embeddings: "_Embeddings | None",
) -> None:
    bar = Progress(
        TextColumn("predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("videos"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar, open(path, "a", encoding="utf-8") as file:
        task = bar.add_task("", total=len(videos))
        for result, embedding in predict_stream(model, videos, request):
            if embeddings is not None:
                embeddings.add(result.name, embedding)
            file.write(result_line(result))
            file.flush()
            bar.advance(task)


class _Embeddings:
    """Features of videos, each in a file of its own until all are there."""

    def __init__(self, folder: epath.Path) -> None:
        self._folder = folder

    def _path(self, name: str) -> epath.Path:
        return self._folder / f"{name}.npy"

    def add(self, name: str, embedding: np.ndarray) -> None:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.save(content, embedding.astype(np.float32), allow_pickle=False)
        write_whole(path, content.getvalue())

    def gather(self, path: epath.Path, names: Sequence[str]) -> None:
        """One file with all of them: `names` (N) and `embeddings` (N, embed_dim)."""
        found = {}
        for name in names:
            if self._path(name).exists():
                array = np.load(self._path(name), allow_pickle=False)
                if len(array):
                    found[name] = array
        content = io.BytesIO()
        np.savez(
            content,
            names=np.array(list(found)),
            embeddings=np.stack(list(found.values())) if found else np.zeros((0, 0), np.float32),
        )
        write_whole(path, content.getvalue())


def _write_table(path: epath.Path, results: Results, top_k: int) -> None:
    header = results.header
    numbers = range(1, top_k + 1)
    columns = ["video", "problem", "duration"]
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
    if result.is_answered:
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
