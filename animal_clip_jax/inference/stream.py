"""Many videos through a model: decoded ahead, in batches across videos, one result at a time."""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from animal_clip_jax.inference.inputs import Input
from animal_clip_jax.inference.results import Media, VideoResult, Windows
from animal_clip_jax.inference.smoothing import Smoothing, bouts_of
from animal_clip_jax.run.trained_run import Preprocessing
from data_pipeline.rows import Decoders, End, Row, RowPlan
from data_pipeline.video import Views


@dataclasses.dataclass(frozen=True)
class Request:
    """What is wanted of videos.

    Attributes:
        window, stride: seconds; None for an answer for each video as a whole.
        smoothing: how windows become bouts; None without windows.
        animals: that are in all of them; () leaves that to the model.
        blank_below: a video is blank if no animal is in it with at least this probability, see
            `recognition.presence`; None does not look for that.
        batch_size: rows that are computed at a time.
        workers: processes that decode; 0 decodes in this one.
    """

    window: float | None = None
    stride: float | None = None
    smoothing: Smoothing | None = None
    animals: tuple[str, ...] = ()
    blank_below: float | None = None
    batch_size: int = 8
    workers: int = 0


class Model(Protocol):
    """What is needed of a model: see `predictor.Predictor`."""

    @property
    def preprocessing(self) -> Preprocessing: ...
    @property
    def views(self) -> Views: ...
    @property
    def judges_each_action(self) -> bool: ...
    @property
    def thresholds(self) -> tuple[float, ...] | None: ...
    @property
    def actions(self) -> tuple[str, ...]: ...
    @property
    def animals(self) -> tuple[str, ...]: ...
    @property
    def animal_look(self) -> Views | None: ...
    @property
    def presence_look(self) -> Views | None: ...
    def presence(self, looks: np.ndarray, *, batch_size: int) -> np.ndarray: ...
    def score(
        self,
        frames: np.ndarray,
        looks: np.ndarray | None,
        *,
        animals: Sequence[str] = (),
        batch_size: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...


class _Gathered:
    """What has come back of a video's rows."""

    def __init__(self, video: Input) -> None:
        self.video = video
        self.spans: list[tuple[float, float]] = []
        self.actions: list[np.ndarray] = []
        self.animals: list[np.ndarray] = []
        self.embeddings: list[np.ndarray] = []
        self.presence: list[float] = []
        self.end: End | None = None
        self.num_rows = 0

    @property
    def is_whole(self) -> bool:
        return self.end is not None and len(self.actions) == self.num_rows


def predict_stream(
    model: Model,
    videos: Sequence[Input],
    request: Request,
    *,
    advance: Callable[[float, int], object] = lambda done, rows: None,
) -> Iterator[tuple[VideoResult, np.ndarray]]:
    """Yields the result of each video, in order, and its features, (embed_dim,), which are the mean
    over its rows; (0,) of a video without any.

    Only a few rows are held at a time, whatever the number and length of the videos, and the model
    is compiled once.

    Args:
        model: see `predictor.Predictor`.
        videos: which.
        request: what is wanted of them.
        advance: is told how many videos are done, one that is half done being half a video, and how
            many rows.
    """
    request = with_thresholds(model, request)
    plan = row_plan(model, request)
    readable = [number for number, video in enumerate(videos) if not video.problem]
    place = {number: k for k, number in enumerate(readable)}
    waiting: deque[_Gathered] = deque()
    rows: list[tuple[_Gathered, Row]] = []
    num_rows = 0
    sources = [videos[k].video for k in readable]
    with Decoders(sources, plan, request.workers) as decoders:
        for number, video in enumerate(videos):
            gathered = _Gathered(video)
            waiting.append(gathered)
            if video.problem:
                gathered.end = End(problem=video.problem)
            else:
                for item in decoders.rows(place[number]):
                    if isinstance(item, End):
                        gathered.end = item
                        break
                    gathered.num_rows += 1
                    rows.append((gathered, item))
                    if len(rows) == request.batch_size:
                        _score(model, rows, request)
                        rows.clear()
                        num_rows += request.batch_size
                        advance(number + item.share, num_rows)
            while waiting and waiting[0].is_whole:
                yield _result(model, waiting.popleft(), request)
        if rows:
            _score(model, rows, request)
        advance(len(videos), num_rows + len(rows))
        while waiting:
            yield _result(model, waiting.popleft(), request)


def with_thresholds(model: Model, request: Request) -> Request:
    """The request with the thresholds of a calibrated model, where it asks for none itself."""
    smoothing = request.smoothing
    if smoothing is None or smoothing.threshold or model.thresholds is None:
        return request
    return dataclasses.replace(
        request, smoothing=dataclasses.replace(smoothing, threshold=model.thresholds)
    )


def row_plan(model: Model, request: Request) -> RowPlan:
    """How videos are decoded for a model."""
    views = model.views
    if request.window is not None:
        views = dataclasses.replace(views, num_temporal_views=1)
    looks = [views]
    # How an animal is recognised, and whether there is one, is seen in the same frames.
    if _asks_for_animals(model, request):
        assert model.animal_look is not None
        looks.append(model.animal_look)
    elif request.blank_below is not None:
        assert model.presence_look is not None
        looks.append(model.presence_look)
    return RowPlan(
        short_side=model.preprocessing.short_side,
        max_frames=model.preprocessing.max_frames,
        looks=tuple(looks),
        window=request.window,
        stride=request.stride,
    )


def _asks_for_animals(model: Model, request: Request) -> bool:
    return model.animal_look is not None and not request.animals


def _score(model: Model, rows: Sequence[tuple[_Gathered, Row]], request: Request) -> None:
    frames = np.stack([row.frames[0] for _, row in rows])
    looks = None
    if len(rows[0][1].frames) > 1:
        looks = np.concatenate([row.frames[1] for _, row in rows])
    if request.blank_below is not None:
        assert looks is not None
        found = model.presence(looks, batch_size=request.batch_size)
        for (gathered, _), presence in zip(rows, found, strict=True):
            gathered.presence.append(float(presence))
        if not _asks_for_animals(model, request):
            looks = None
    scored = model.score(frames, looks, animals=request.animals, batch_size=request.batch_size)
    for (gathered, row), *values in zip(rows, *scored, strict=True):
        gathered.spans.append((row.start, row.stop))
        for held, value in zip(
            (gathered.actions, gathered.animals, gathered.embeddings), values, strict=True
        ):
            held.append(value)


def _result(model: Model, gathered: _Gathered, request: Request) -> tuple[VideoResult, np.ndarray]:
    end, video = gathered.end, gathered.video
    assert end is not None
    media = None
    if end.times is not None:
        media = Media(
            duration=end.times.end,
            frame_rate=end.times.frame_rate,
            num_frames=len(end.times.starts),
            height=end.size[0],
            width=end.size[1],
            has_audio=end.times.has_audio,
        )
    result = VideoResult(video.name, str(video.path.absolute()), end.problem, media)
    if not gathered.actions:
        problem = end.problem or "no frame of it could be looked at"
        return dataclasses.replace(result, problem=problem), np.zeros(0, np.float32)
    actions, animals = np.stack(gathered.actions), np.stack(gathered.animals)
    result = dataclasses.replace(result, actions=actions.mean(axis=0), animals=animals.mean(axis=0))
    presence = present = None
    if request.blank_below is not None:
        presence = np.array(gathered.presence, np.float32)
        present = presence >= request.blank_below
        result = dataclasses.replace(
            result, presence=float(presence.max()), blank=not bool(present.any())
        )
    if request.window is not None and request.smoothing is not None:
        spans = np.array(gathered.spans)
        windows = Windows(spans[:, 0], spans[:, 1], actions, animals, presence)
        bouts = bouts_of(
            windows,
            model.actions,
            model.animals,
            request.smoothing,
            multi_label=model.judges_each_action,
            present=present,
        )
        result = dataclasses.replace(result, windows=windows, bouts=bouts)
    return result, np.mean(gathered.embeddings, axis=0)
