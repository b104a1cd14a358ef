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
from animal_clip_jax.classes.context import text_tower
from animal_clip_jax.classes.vocabulary import (
    Labels,
    check_descriptions,
    check_labels,
    context_without_training,
)
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.evaluation import scoring
from animal_clip_jax.inference.answers import (
    GIVEN,
    Answer,
    AttentionMaps,
    note_on,
    ranked,
    relation_table,
    weights_of,
)
from animal_clip_jax.inference.inputs import Input, input_of
from animal_clip_jax.inference.results import VideoResult
from animal_clip_jax.inference.smoothing import EXPECTED_WINDOWS, Smoothing
from animal_clip_jax.inference.stream import Request, predict_stream
from animal_clip_jax.inference.video_progress import VideoProgress
from animal_clip_jax.models.animal_sources import RECOGNISED
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.description import CLASSIFIERS
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.calibration import Calibration
from animal_clip_jax.run.evaluate import classes_of_labels, expected_recogniser
from animal_clip_jax.run.trained_run import Preprocessing, TrainedRun
from data_pipeline.rows import Row, RowPlan, Video, rows_of
from data_pipeline.video import Views

_BATCH_SIZE = 8


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A model with its labels, as it was trained; see `load`.

    Nothing is changed by using it, and it compiles once for all videos.

    Attributes:
        family: of the model: "animal_clip", "xclip", "video_prompt", …
        labels: actions and animals that it knows; `with_actions` gives another model other ones.
        preprocessing: how a video becomes frames, as the videos of the training did.
        views: the views that are taken of them.
        animal_source: where the animals of a video come from that are not given.
        run: that it was trained in; None for weights of the converter.
        judges_each_action: whether each action has a probability of its own; else they add up to 1.
        calibration: of `animal-clip calibrate`: its temperature divides the logits of every view;
            None leaves them.
    """

    family: str
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
    _steps: scoring.ScoringSteps
    _attention_maps: Any
    _recognition: AnimalRecognition | None
    judges_each_action: bool
    calibration: Calibration | None = None
    _descriptions: features.Descriptions = dataclasses.field(default_factory=dict)

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that it tells apart."""
        return self.labels.actions

    @property
    def animals(self) -> tuple[str, ...]:
        """The animals that it can be given."""
        return self.labels.animals

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """The probability of each action from which it counts as shown; None where the model is not
        calibrated, or the probabilities of all actions add up to 1."""
        return None if self.calibration is None else self.calibration.thresholds_of(self.actions)

    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        videos: Video,
        *,
        animals: Sequence[str] = (),
        progress: bool = False,
        workers: int = 0,
    ) -> Answer: ...
    @overload
    def predict(
        self,
        videos: Sequence[Video],
        *,
        animals: Sequence[str] = (),
        progress: bool = False,
        workers: int = 0,
    ) -> list[Answer]: ...
    def predict(
        self,
        videos: Video | Sequence[Video],
        *,
        animals: Sequence[str] = (),
        progress: bool = False,
        workers: int = 0,
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
            progress: shows on standard error how far it is.
            workers: processes that decode files while others are scored; 0 decodes in this one. A
                script that takes some has to be importable, `if __name__ == "__main__":`, as
                everywhere with processes that Python spawns.

        Returns:
            an answer, or a list of them for a list.

        Raises:
            UserError: a video is missing, damaged or not of that form; an animal is not one of the
                model's; the model has no actions yet.
        """
        is_one = isinstance(videos, str | os.PathLike | np.ndarray)
        several: list[Any] = [videos] if is_one else list(videos)  # type: ignore[arg-type]
        request = Request(
            animals=tuple(animals), batch_size=1 if is_one else _BATCH_SIZE, workers=workers
        )
        weights_of(animals, self.animals)
        inputs = [input_of(video) for video in several]
        with VideoProgress(len(inputs), is_shown=progress) as bar:
            stream = predict_stream(self, inputs, request, advance=bar.advance)
            answers = [
                self._answer(video, result, embedding, is_given=bool(animals))
                for video, (result, embedding) in zip(inputs, stream, strict=True)
            ]
        return answers[0] if is_one else answers

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
                of four windows on average. Without a threshold, those of a calibrated model are
                taken.
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
            smoothing=smoothing or Smoothing(stride, EXPECTED_WINDOWS * window),
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
        frames = self._padded(self._looked_at(video, self.views)[None], 1)
        total: Any = 0
        for view in range(frames.shape[1]):
            images = mesh_lib.put_batch({"frames": frames[:, view]}, self._mesh)["frames"]
            total = total + self._steps.encode(self._values, images)[1]
        return np.asarray(total)[0] / frames.shape[1]

    def attention(self, video: Video) -> AttentionMaps:
        """Where in a video the model looks; `inference.attention_overlay` draws it.

        It is the attention rollout of the video's features, see `models.attention_maps`: the same
        whatever action is asked about.

        Examples:
            >>> frames, maps = model.attention("clip.mp4")
            >>> maps[3].max()  # of the patch of the fourth frame that is looked at most

        Args:
            video: see `predict`. One view is taken of it: frames spread over all of it, and of
                each the square in the middle.

        Returns:
            the frames, uint8 (frames, size, size, 3), and how much the model looks at each patch,
            float32 (frames, rows of patches, columns of patches), which sums to 1 over all frames.

        Raises:
            UserError: the model compares frames one by one, without attention between them; the
                video is missing, damaged or not of that form.
        """
        self.check_has_attention()
        one_view = Views(self.views.num_frames, self.views.image_size)
        frames = self._looked_at(video, one_view)
        images = mesh_lib.put_batch({"frames": self._padded(frames, 1)}, self._mesh)["frames"]
        return AttentionMaps(frames[0], np.asarray(self._attention_maps(self._values, images))[0])

    def check_has_attention(self) -> None:
        """Raises UserError where `attention` is not of this model."""
        if self._attention_maps is None:
            raise UserError(
                "attention is of a model whose frames exchange messages, animal_clip or xclip; "
                f"this one is {self.family}"
            )

    def encode_actions(self, texts: Sequence[str]) -> np.ndarray:
        """The features of texts, such as "a fox digging".

        Returns:
            (texts, embed_dim) float32, not of unit length.

        Raises:
            UserError: a text cannot be tokenised, or the model reads none.
        """
        if isinstance(texts, str):
            raise UserError(f"encode_actions takes a list of texts, found one, {texts!r}")
        if self.family in CLASSIFIERS or self.family == "video_prompt":
            reads = "no texts" if self.family in CLASSIFIERS else "the names of its actions alone"
            raise UserError(f"encode_actions: a model of family {self.family} reads {reads}")
        return features.encode_classes(
            self._text_tower(), [[text] for text in texts], mesh=self._mesh
        )

    def with_actions(
        self,
        actions: Sequence[str],
        *,
        animals: Sequence[str] | None = None,
        descriptions: Mapping[str, Sequence[str]] = features.NO_DESCRIPTIONS,
        relation: Mapping[str, Iterable[str]] | None = None,
    ) -> "Predictor":
        """The same model for other labels.

        Labels that it was trained with, under the same name, keep their features and relations; the
        texts of the others are those of `descriptions`, or made as the training's were, of their
        names or in templates. The temperature of a calibrated model stays, and so do the thresholds
        of actions of the same name; the others have 0.5.

        Args:
            actions: names, such as "digging a burrow".
            animals: names; None keeps those of this model.
            descriptions: texts of some of these labels, such as {"digging": ["It digs with its
                forepaws.", "Earth flies up behind it."]}. A label of the training that is described
                here is known by this description alone.
            relation: the actions of each animal; None takes what the training showed. Animals that
                it leaves out perform nothing.

        Raises:
            UserError: a name is empty or occurs twice; the training's texts are descriptions, and
                a label has none; a description is of no label; the model reads no texts, and knows
                the actions of its training alone.
        """
        for kind, names in (("actions", actions), ("animals", animals or ())):
            if isinstance(names, str):
                raise UserError(f"with_actions takes lists of {kind}, found one name, {names!r}")
        labels = Labels(tuple(actions), self.animals if animals is None else tuple(animals))
        if not labels.actions:
            raise UserError("with_actions needs at least one action")
        check_labels(labels)
        check_descriptions(descriptions, labels)
        given = None if relation is None else relation_table(relation, labels)
        if self.run is not None and self._config is not None:
            assert self._classes is not None
            trained = self.run.restore(NamedSharding(self._mesh, mesh_lib.REPLICATED))[1]
            classes = classes_of_labels(
                self.run,
                self._config,
                self._values,
                trained,
                labels,
                descriptions=descriptions,
                mesh=self._mesh,
            )
        elif self.family not in ("clip", "xclip", "animal_clip"):
            raise UserError(
                f"these weights of {self.family} are no run, which knows what its classes are: "
                "train it, from them with config.init_from"
            )
        else:
            classes = context_without_training(
                self._text_tower(), labels, descriptions, mesh=self._mesh
            )
        if given is not None:
            classes = classes._replace(relation=given)
        placed = jax.device_put(classes, NamedSharding(self._mesh, mesh_lib.REPLICATED))
        recognition = self._recognition
        if recognition is not None:
            recognition = recognition.for_animals(labels.animals, descriptions)
        return dataclasses.replace(
            self,
            labels=labels,
            _classes=self._steps.prepared(self._values, placed),
            _recognition=recognition,
            _descriptions=descriptions,
        )

    @property
    def animal_look(self) -> Views | None:
        """How a video is looked at to recognise its animals; None if that is not done."""
        if self.animal_source not in RECOGNISED:
            return None
        return self.presence_look

    @property
    def presence_look(self) -> Views | None:
        """How a video is looked at for `presence`; None if that cannot be said, see
        `with_presence`."""
        if self._recognition is None or self._config is None:
            return None
        return Views(
            self._config.animals.num_frames,
            self._recognition.recogniser.architecture.image_size,
        )

    def with_presence(self) -> "Predictor":
        """The same model, which can also say whether an animal is in a video at all.

        Raises:
            UserError: there is no image–text model at hand that recognises animals, or no animal
                that the model knows.
        """
        lacking = "whether an animal is there is said by the run's image–text model, and "
        if self.run is None or self._config is None:
            raise UserError(f"{lacking}these are weights without a run")
        if not self.animals:
            raise UserError(f"{lacking}this run knows no animals")
        if self._recognition is not None:
            return self
        try:
            recognition = AnimalRecognition(
                self._config,
                self.run.folder,
                self.animals,
                self._mesh,
                digest=expected_recogniser(self.run, self._config),
                descriptions=self._descriptions,
            )
        except MissingFileError:
            raise
        except UserError as error:
            raise UserError(f"{lacking}{error}") from error
        return dataclasses.replace(self, _recognition=recognition)

    def presence(self, looks: np.ndarray, *, batch_size: int) -> np.ndarray:
        """The probability that an animal is in each of several videos, see `recognition.presence`.

        Args:
            looks: (n, frames, size, size, 3) uint8, as `presence_look` says.
            batch_size: n at most; the program is compiled for it.

        Returns:
            (n,) float32.
        """
        assert self._recognition is not None
        return self._recognition.presence(self._padded(looks, batch_size))[: len(looks)]

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
        told = np.tile(weights_of(animals, self.animals), (len(frames), 1))
        if looks is not None and not animals:
            assert self._recognition is not None
            told = self._recognition.probabilities(
                self.animal_source, self._recognition.encode_frames(looks)
            )
        scored = scoring.score_views(
            self._steps,
            self._values,
            self._classes,
            self._padded(frames, batch_size).swapaxes(0, 1),
            [self._padded(told, batch_size)],
            self._mesh,
            temperature=1.0 if self.calibration is None else self.calibration.temperature,
        )
        number, views = len(frames), frames.shape[1]
        return (
            np.asarray(scored.probabilities[0])[:number] / views,
            told,
            np.asarray(scored.features)[:number] / views,
        )

    def _looked_at(self, video: Video, views: Views) -> np.ndarray:
        """The views of one video, (views, frames, size, size, 3) uint8."""
        source = input_of(video)
        plan = RowPlan(**dataclasses.asdict(self.preprocessing), looks=(views,))
        rows = []
        for item in rows_of(source.video, plan):
            if isinstance(item, Row):
                rows.append(item.frames[0])
            elif item.problem:
                raise UserError(f"{source.path}: {item.problem}")
        (frames,) = rows
        return frames

    def _text_tower(self):
        return text_tower(self._architecture, self._values)

    def _answer(
        self, video: Input, result: VideoResult, embedding: np.ndarray, *, is_given: bool
    ) -> Answer:
        if result.problem:
            raise UserError(f"{video.path}: {result.problem}")
        num_frames = 0 if video.frames is None else len(video.frames)
        if result.media is not None:
            num_frames = result.media.num_frames
        return Answer(
            actions=ranked(self.actions, result.actions),
            animals=[
                animal for animal in ranked(self.animals, result.animals) if animal.probability > 0
            ],
            animal_source=GIVEN if is_given else self.animal_source,
            embedding=embedding,
            note=note_on(num_frames, self.views.num_frames, self.preprocessing.max_frames),
        )

    def _padded(self, rows: np.ndarray, batch_size: int) -> np.ndarray:
        """Rows repeated up to a batch that divides over the devices, always of the same size."""
        shares = self._mesh.shape["data"] * self._mesh.shape["fsdp"]
        size = -(-batch_size // shares) * shares
        return rows[np.minimum(np.arange(size), len(rows) - 1)]
