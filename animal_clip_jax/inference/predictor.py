"""A trained model for a person: videos in, actions out.

import animal_clip_jax
model = animal_clip_jax.load("runs/demo/run")
answer = model.predict("clip.mp4")          # .actions: [(name, probability)], .animals, .embedding
"""

import dataclasses
import os
import pathlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, overload

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.classes import features
from animal_clip_jax.classes.context import ClassTexts, class_context, text_tower
from animal_clip_jax.classes.vocabulary import Labels, check_labels
from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.conversion import weights as weights_lib
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.evaluation import scoring
from animal_clip_jax.files import as_path
from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_sources import RECOGNISED
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.description import build
from animal_clip_jax.models.normalisation import Normalisation, normalise
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.run import assembly
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.config import source_without_labels
from animal_clip_jax.run.evaluate import classes_of_labels, expected_recogniser, open_for_use
from animal_clip_jax.run.trained_run import Preprocessing, TrainedRun
from data_pipeline.decoding import VideoError
from data_pipeline.video import frames_of_array, load_frames, views_of_frames

Video = str | os.PathLike[str] | np.ndarray
GIVEN = "given"
# Of weights without a run, as the data sets are converted by default.
_DEFAULT_PREPROCESSING = Preprocessing(short_side=256, max_frames=64)
_DEFAULT_FRAMES = 8
_BATCH_SIZE = 8


class Prediction(NamedTuple):
    """A label and its probability."""

    label: str
    probability: float


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a model says of a video.

    Attributes:
        actions: all actions with their probabilities, best first: shares of 1, or each by itself
            for a model that was trained with a loss that judges each action by itself.
        animals: the animals that the model was given, the likeliest first.
        animal_source: where they come from: "given", "predicted", "learned" or "none".
        embedding: (embed_dim,) float32, the video's features, the mean over its views.
        note: what a person should know of the video, such as that it is very short; or "".
    """

    actions: list[Prediction]
    animals: list[Prediction]
    animal_source: str
    embedding: np.ndarray
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Views:
    """How a video is looked at: each view has `num_frames` frames of `image_size` pixels."""

    num_frames: int
    image_size: int
    num_temporal_views: int
    num_crops: int


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
        given = None if relation is None else _relation(relation, labels)
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

    def _text_tower(self):
        return text_tower(self._architecture, self._values)

    def _answers(
        self, videos: list[Video], animals: Sequence[str], *, batch_size: int
    ) -> list[Answer]:
        if self._classes is None:
            raise UserError(
                "this model has no actions yet, as it comes from weights and not from a run: give "
                'it some with model.with_actions(["a fox digging", …])'
            )
        weights = self._weights_of(animals)
        source = GIVEN if animals else self.animal_source
        answers = []
        for start in range(0, len(videos), batch_size):
            part = videos[start : start + batch_size]
            stored = [self._stored(video) for video in part]
            frames = np.stack([_views(of_video, self.views) for of_video in stored])
            told = np.tile(weights, (len(part), 1))
            if source in RECOGNISED:
                told = self._recognise(part)
            padded = self._padded(frames, batch_size)
            scored = scoring.score_views(
                self._score,
                self._values,
                self._classes,
                padded,
                self._padded(told, batch_size),
                self._mesh,
            )
            probabilities = np.asarray(scored.probabilities) / frames.shape[1]
            embeddings = np.asarray(scored.features) / frames.shape[1]
            for row in range(len(part)):
                answers.append(
                    Answer(
                        actions=_ranked(self.actions, probabilities[row]),
                        animals=[
                            animal
                            for animal in _ranked(self.animals, told[row])
                            if animal.probability > 0
                        ],
                        animal_source=source,
                        embedding=embeddings[row],
                        note=self._note(len(stored[row])),
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

    def _recognise(self, videos: list[Video]) -> np.ndarray:
        """How likely each animal is to be in each video, (videos, animals)."""
        recognition = self._recognition
        assert recognition is not None and self._config is not None
        looks = Views(
            self._config.animals.num_frames,
            recognition.recogniser.architecture.image_size,
            num_temporal_views=1,
            num_crops=1,
        )
        frames = np.concatenate([_views(self._stored(video), looks) for video in videos])
        return recognition.probabilities(self.animal_source, recognition.encode_frames(frames))

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


def load(
    folder: str | os.PathLike[str],
    *,
    checkpoint: str | int | None = None,
    config: ConfigDict | None = None,
) -> Predictor:
    """Opens a trained model.

    Examples:
        >>> model = load("runs/demo/run")
        >>> model.predict("clip.mp4").actions[0]
        Prediction(label='Walking', probability=0.93)

    Args:
        folder: a run's folder, of this machine or any other; or weights written by
            `animal-clip convert`, which have no labels yet: see
            `Predictor.with_actions`.
        checkpoint: of a run: "latest", "best" or a step; None takes what its configuration says.
        config: the run's configuration with fields of `run.config.FREE_WHEN_TRAINED` changed: the
            views, where animals come from. None takes it as it is.

    Returns:
        the model on all devices of this process.

    Raises:
        MissingFileError: there is no such folder, or a recogniser of animals is missing that the
            run needs.
        UserError: the folder holds something else, is damaged, or is of a newer version.
    """
    if weights_lib.is_weights(folder) and not (as_path(folder) / "checkpoints").is_dir():
        return _of_weights(folder)
    run, config = open_for_use(folder, config)
    if checkpoint is not None:
        run = dataclasses.replace(TrainedRun.open(folder, checkpoint), config=run.config)
    mesh = _local_mesh()
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    values, classes = run.restore(replicated)
    source = source_without_labels(config)
    recognition = None
    if source in RECOGNISED:
        digest = expected_recogniser(run, config)
        recognition = AnimalRecognition(config, run.folder, run.labels.animals, mesh, digest=digest)
    return _predictor(
        run.graphdef,
        values,
        classes,
        labels=run.labels,
        normalisation=run.normalisation,
        outputs=assembly.outputs(config),
        preprocessing=run.preprocessing,
        views=Views(
            run.config.model.num_frames,
            run.config.model.architecture.image_size,
            config.evaluation.temporal_views,
            config.evaluation.crops,
        ),
        animal_source=source,
        architecture=run.model.architecture,
        mesh=mesh,
        run=run,
        config=config,
        recognition=recognition,
    )


def _of_weights(folder: str | os.PathLike[str]) -> Predictor:
    values, metadata = weights_lib.load_weights(folder)
    if metadata.initialised:
        warnings.warn(
            f"{os.fspath(folder)}: {len(metadata.initialised)} of its {len(values)} arrays were "
            "not in what it was converted from and hold initial values, so what it says means "
            f"little before it is trained: {', '.join(metadata.initialised[:3])}, …",
            stacklevel=3,
        )
    description = metadata.model
    graphdef, _ = parameters.abstract(lambda: build(description, rngs=nnx.Rngs(0)))
    mesh = _local_mesh()
    return _predictor(
        graphdef,
        jax.device_put(values, NamedSharding(mesh, mesh_lib.REPLICATED)),
        None,
        labels=Labels((), ()),
        normalisation=metadata.normalisation,
        outputs="softmax",
        preprocessing=_DEFAULT_PREPROCESSING,
        views=Views(
            description.num_frames or _DEFAULT_FRAMES, description.architecture.image_size, 1, 1
        ),
        animal_source="none",
        architecture=description.architecture,
        mesh=mesh,
    )


def _predictor(
    graphdef: nnx.GraphDef,
    values: Parameters,
    classes: ClassContext | None,
    *,
    labels: Labels,
    normalisation: Normalisation,
    outputs: str,
    preprocessing: Preprocessing,
    views: Views,
    animal_source: str,
    architecture: Any,
    mesh: Mesh,
    run: TrainedRun | None = None,
    config: ConfigDict | None = None,
    recognition: AnimalRecognition | None = None,
) -> Predictor:
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)

    @jax.jit
    def encode(values: Parameters, frames: jax.Array) -> jax.Array:
        model: Any = parameters.merge(graphdef, values)
        encoded = model.encode_video(normalise(frames, *normalisation))
        # X-CLIP's also gives the features of its patches.
        return encoded[0] if isinstance(encoded, tuple) else encoded

    return Predictor(
        labels=labels,
        preprocessing=preprocessing,
        views=views,
        animal_source=animal_source,
        run=run,
        _config=config,
        _values=values,
        _classes=classes,
        _architecture=architecture,
        _mesh=mesh,
        _score=scoring.make_scoring_step(
            graphdef,
            normalisation=normalisation,
            outputs=outputs,
            mesh=mesh,
            parameter_shardings=replicated,
        ),
        _encode=encode,
        _recognition=recognition,
    )


def _local_mesh() -> Mesh:
    return mesh_lib.make_mesh({"data": -1, "fsdp": 1, "model": 1}, jax.local_devices())


def _views(frames: np.ndarray, views: Views) -> np.ndarray:
    """The views of a video's stored frames, (views, frames, size, size, 3) uint8."""
    return views_of_frames(frames, **dataclasses.asdict(views))


def _is_one(videos: object) -> bool:
    return isinstance(videos, str | os.PathLike | np.ndarray)


def _relation(relation: Mapping[str, Iterable[str]], labels: Labels) -> np.ndarray:
    table = np.zeros((len(labels.actions), len(labels.animals)), np.float32)
    for animal, actions in relation.items():
        for kind, name, names in (
            ("animal", animal, labels.animals),
            *(("action", action, labels.actions) for action in actions),
        ):
            if name not in names:
                raise UserError(f"relation: the {kind} {name!r} is not one of the labels")
            if kind == "action":
                table[names.index(name), labels.animals.index(animal)] = 1
    return table


def _ranked(names: Sequence[str], scores: np.ndarray) -> list[Prediction]:
    best = np.argsort(-scores, kind="stable")
    return [Prediction(names[index], float(scores[index])) for index in best]
