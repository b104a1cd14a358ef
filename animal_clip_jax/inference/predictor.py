"""A trained model for a person: videos in, actions out.

import animal_clip_jax
model = animal_clip_jax.load("runs/demo/run")
answer = model.predict("clip.mp4")          # .actions: [(name, probability)], .animals, .embedding
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.classes import features
from animal_clip_jax.classes.context import ClassTexts, class_context, text_tower
from animal_clip_jax.classes.vocabulary import Labels, check_labels
from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.evaluation import scoring
from animal_clip_jax.inference.answers import Answer, ranked, relation_table
from animal_clip_jax.inference.inputs import Input
from animal_clip_jax.inference.results import VideoResult
from animal_clip_jax.inference.smoothing import Smoothing
from animal_clip_jax.inference.stream import Request, predict_stream
from animal_clip_jax.models.animal_sources import RECOGNISED
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.evaluate import classes_of_labels
from animal_clip_jax.run.trained_run import Preprocessing, TrainedRun
from data_pipeline.decoding import VideoError
from data_pipeline.video import Views, frames_of_array, load_frames, views_of_frames

Video = str | os.PathLike[str] | np.ndarray
GIVEN = "given"
_BATCH_SIZE = 8


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A model with its labels, as it was trained; see `load`.

    Nothing is changed by using it, and it compiles once for all videos.

    Attributes:
        labels: actions and animals that it knows; `with_actions` gives another model other ones.
        preprocessing: how a video becomes frames, as the videos of the training did.
        views: the views that are taken of them.
        animal_source: where the animals of a video come from that are not given.
        run: that it was trained in; None for weights of the converter.
        judges_each_action: whether each action has a probability of its own; else they add up to 1.
    """

    labels: Labels
    preprocessing: Preprocessing
    views: Views
    animal_source: str
    run: TrainedRun | None
    _config: ConfigDict | None
    _values: Parameters
    _classes: ClassContext | None
    _architecture: Any
    _mesh: Mesh
    _score: scoring.ScoringStep
    _encode: Any
    _recognition: AnimalRecognition | None
    judges_each_action: bool

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that it tells apart."""
        return self.labels.actions

    @property
    def animals(self) -> tuple[str, ...]:
        """The animals that it can be given."""
        return self.labels.animals

    @overload
    def predict(  # type: ignore[overload-overlap]
        self, videos: Video, *, animals: Sequence[str] = ()
    ) -> Answer: ...
    @overload
    def predict(self, videos: Sequence[Video], *, animals: Sequence[str] = ()) -> list[Answer]: ...
    def predict(
        self, videos: Video | Sequence[Video], *, animals: Sequence[str] = ()
    ) -> Answer | list[Answer]:
        """Says what the animals in videos do.

        Examples:
            >>> model.predict("clip.mp4").actions[0]
            Prediction(label='Walking', probability=0.93)

        Args:
            videos: the path of a video file; or its frames, uint8 (frames, height, width, 3), RGB,
                of any size and number, which are sampled and resized as a file's are; or a list of
                such, which are scored together.
            animals: names of the animals in them, if known; else they come from `animal_source`.

        Returns:
            an answer, or a list of them for a list.

        Raises:
            UserError: a video is missing, damaged or not of that form; an animal is not one of the
                model's; the model has no actions yet.
        """
        if _is_one(videos):
            return self._answers([videos], animals, batch_size=1)[0]  # type: ignore[list-item]
        return self._answers(list(videos), animals, batch_size=_BATCH_SIZE)  # type: ignore[arg-type]

    def timeline(
        self,
        video: str | os.PathLike[str],
        *,
        window: float = 2.0,
        stride: float | None = None,
        smoothing: Smoothing | None = None,
        animals: Sequence[str] = (),
    ) -> VideoResult:
        """Who does what from when to when in a long video.

        Examples:
            >>> model.timeline("recording.mp4").bouts[0]
            Bout(start=0.0, stop=12.0, action='Walking', animal='Zebra', score=0.81)

        Args:
            video: the path of a file. It is decoded once, and few frames are held.
            window: how long a piece is that is looked at, in seconds.
            stride: from the beginning of a piece to that of the next; None is half a window.
            smoothing: how bouts are made of the pieces; None takes steps of one stride, and bouts
                of two windows on average.
            animals: names of the animals in it, if known.

        Returns:
            the bouts, and the probabilities of each piece in `windows`.

        Raises:
            UserError: no frame of the video can be looked at; an animal is not one of the model's;
                the model has no actions yet.
        """
        path = pathlib.Path(video)
        stride = window / 2 if stride is None else stride
        request = Request(
            window=window,
            stride=stride,
            smoothing=smoothing or Smoothing(stride, 2 * window),
            animals=tuple(animals),
            batch_size=_BATCH_SIZE,
        )
        ((result, _),) = predict_stream(self, [Input(path.name, path)], request)
        if not result.is_answered:
            raise UserError(f"{path}: {result.problem}")
        return result

    def encode_video(self, video: Video) -> np.ndarray:
        """The features of a video, before they are fitted to any animals.

        Args:
            video: see `predict`.

        Returns:
            (embed_dim,) float32, the mean over the views; not of unit length.
        """
        frames = self._padded(_views(self._stored(video), self.views)[None], 1)
        total: Any = 0
        for view in range(frames.shape[1]):
            images = mesh_lib.put_batch({"frames": frames[:, view]}, self._mesh)["frames"]
            total = total + self._encode(self._values, images)
        return np.asarray(total)[0] / frames.shape[1]

    def encode_actions(self, texts: Sequence[str]) -> np.ndarray:
        """The features of texts, such as "a fox digging".

        Returns:
            (texts, embed_dim) float32, not of unit length.

        Raises:
            UserError: a text cannot be tokenised.
        """
        if isinstance(texts, str):
            raise UserError(f"encode_actions takes a list of texts, found one, {texts!r}")
        return features.encode_classes(self._text_tower(), [[text] for text in texts])

    def with_actions(
        self,
        actions: Sequence[str],
        *,
        animals: Sequence[str] | None = None,
        relation: Mapping[str, Iterable[str]] | None = None,
    ) -> "Predictor":
        """The same model for other labels.

        Labels that it was trained with, under the same name, keep their features and relations; the
        texts of the others are made as the training's were, of their names or in templates.

        Args:
            actions: names, such as "digging a burrow".
            animals: names; None keeps those of this model.
            relation: the actions of each animal; None takes what the training showed. Animals that
                it leaves out perform nothing.

        Raises:
            UserError: a name is empty or occurs twice; the training's texts are descriptions, and
                a label has none.
        """
        for kind, names in (("actions", actions), ("animals", animals or ())):
            if isinstance(names, str):
                raise UserError(f"with_actions takes lists of {kind}, found one name, {names!r}")
        labels = Labels(tuple(actions), self.animals if animals is None else tuple(animals))
        if not labels.actions:
            raise UserError("with_actions needs at least one action")
        check_labels(labels)
        given = None if relation is None else relation_table(relation, labels)
        if self.run is not None and self._config is not None:
            assert self._classes is not None
            trained = self.run.restore(NamedSharding(self._mesh, mesh_lib.REPLICATED))[1]
            classes = classes_of_labels(
                self.run, self._config, self._values, trained, labels, mesh=self._mesh
            )
        else:
            classes = class_context(
                self._text_tower(),
                ClassTexts(
                    features.class_texts("names", labels.actions, "action"),
                    features.class_texts("names", labels.animals, "animal"),
                ),
                np.zeros((len(labels.actions), len(labels.animals)), np.float32),
                mesh=self._mesh,
            )
        if given is not None:
            classes = classes._replace(relation=given)
        placed = jax.device_put(classes, NamedSharding(self._mesh, mesh_lib.REPLICATED))
        recognition = self._recognition
        if recognition is not None:
            recognition = recognition.for_animals(labels.animals)
        return dataclasses.replace(self, labels=labels, _classes=placed, _recognition=recognition)

    @property
    def animal_look(self) -> Views | None:
        """How a video is looked at to recognise its animals; None if that is not done."""
        if self.animal_source not in RECOGNISED:
            return None
        assert self._recognition is not None and self._config is not None
        return Views(
            self._config.animals.num_frames,
            self._recognition.recogniser.architecture.image_size,
        )

    def score(
        self,
        frames: np.ndarray,
        looks: np.ndarray | None,
        *,
        animals: Sequence[str] = (),
        batch_size: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores frames that are cut already; `predict` cuts and scores.

        Args:
            frames: (n, views, frames, size, size, 3) uint8, as `views` says.
            looks: (n, frames, size, size, 3) uint8, as `animal_look` says; None where that is None
                or animals are given.
            animals: names of the animals in all of them.
            batch_size: n at most; the program is compiled for it.

        Returns:
            the probabilities of the actions, (n, actions); those of the animals that the model took
            into account, (n, animals); and the features, (n, embed_dim). Means over the views.

        Raises:
            UserError: an animal is not one of the model's; the model has no actions yet.
        """
        if self._classes is None:
            raise UserError(
                "this model has no actions yet, as it comes from weights and not from a run: give "
                'it some with model.with_actions(["a fox digging", …])'
            )
        told = np.tile(self._weights_of(animals), (len(frames), 1))
        if looks is not None and not animals:
            assert self._recognition is not None
            told = self._recognition.probabilities(
                self.animal_source, self._recognition.encode_frames(looks)
            )
        scored = scoring.score_views(
            self._score,
            self._values,
            self._classes,
            self._padded(frames, batch_size),
            self._padded(told, batch_size),
            self._mesh,
        )
        number, views = len(frames), frames.shape[1]
        return (
            np.asarray(scored.probabilities)[:number] / views,
            told,
            np.asarray(scored.features)[:number] / views,
        )

    def _text_tower(self):
        return text_tower(self._architecture, self._values)

    def _answers(
        self, videos: list[Video], animals: Sequence[str], *, batch_size: int
    ) -> list[Answer]:
        source = GIVEN if animals else self.animal_source
        answers = []
        for start in range(0, len(videos), batch_size):
            stored = [self._stored(video) for video in videos[start : start + batch_size]]
            frames = np.stack([_views(of_video, self.views) for of_video in stored])
            looks = None
            if self.animal_look is not None and not animals:
                looks = np.concatenate([_views(of_video, self.animal_look) for of_video in stored])
            scored = self.score(frames, looks, animals=animals, batch_size=batch_size)
            for of_video, probabilities, told, embedding in zip(stored, *scored, strict=True):
                answers.append(
                    Answer(
                        actions=ranked(self.actions, probabilities),
                        animals=[
                            animal
                            for animal in ranked(self.animals, told)
                            if animal.probability > 0
                        ],
                        animal_source=source,
                        embedding=embedding,
                        note=self._note(len(of_video)),
                    )
                )
        return answers

    def _weights_of(self, animals: Sequence[str]) -> np.ndarray:
        if isinstance(animals, str):
            raise UserError(f"animals is one name, {animals!r}; expected a list of names")
        unknown = [name for name in animals if name not in self.animals]
        if unknown:
            known = ", ".join(self.animals) or "there are none"
            raise UserError(
                f"{', '.join(map(repr, unknown))} not among the animals ({known})"
                f"{did_you_mean(unknown[0], self.animals)}; with_actions, or "
                "config.predict.animal_labels, takes other ones"
            )
        weights = np.zeros(len(self.animals), np.float32)
        weights[[self.animals.index(name) for name in animals]] = 1
        return weights

    def _note(self, num_stored: int) -> str:
        most, wanted = self.preprocessing.max_frames, self.views.num_frames
        if num_stored >= wanted or num_stored == most:
            return ""
        return (
            f"the video has {num_stored} frames, fewer than the {wanted} that the model takes: "
            "some are taken more than once"
        )

    def _stored(self, video: Video) -> np.ndarray:
        """The frames of a video that a conversion would store, (frames, height, width, 3) uint8."""
        arguments = dataclasses.asdict(self.preprocessing)
        if isinstance(video, np.ndarray):
            return frames_of_array(video, **arguments)
        if not isinstance(video, str | os.PathLike):
            raise UserError(
                f"a video is a path or an array of frames, found {type(video).__name__}"
            )
        path = pathlib.Path(video)
        if not os.fspath(video):
            raise UserError("no video is given; expected the path of a file")
        if path.is_dir():
            raise UserError(f"{path} is a folder; expected a video file")
        if not path.is_file():
            raise MissingFileError(f"no such file: {os.fspath(video)!r}; expected a video")
        try:
            return load_frames(path, **arguments)
        except VideoError as error:
            raise UserError(f"{path}: {error}") from error

    def _padded(self, rows: np.ndarray, batch_size: int) -> np.ndarray:
        """Rows repeated up to a batch that divides over the devices, always of the same size."""
        shares = self._mesh.shape["data"] * self._mesh.shape["fsdp"]
        size = -(-batch_size // shares) * shares
        return rows[np.minimum(np.arange(size), len(rows) - 1)]


def _views(frames: np.ndarray, views: Views) -> np.ndarray:
    """The views of a video's stored frames, (views, frames, size, size, 3) uint8."""
    return views_of_frames(frames, **dataclasses.asdict(views))


def _is_one(videos: object) -> bool:
    return isinstance(videos, str | os.PathLike | np.ndarray)
