"""Recognised animals of a run's clips: image features once, then probabilities of each source."""

import hashlib
import io
import json
from collections.abc import Callable, Sequence

import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.classes import features
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.evaluation import metrics
from animal_clip_jax.evaluation.scoring import batch_size_for
from animal_clip_jax.files import as_path, check_is_file, is_file, write_whole
from animal_clip_jax.numpy_archives import read_arrays
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.distributed import from_first, is_first, on_all, on_first
from animal_clip_jax.recognition.image_features import image_features
from animal_clip_jax.recognition.linear_probe import (
    LinearProbe,
    fit_linear_probe,
    fold_of,
    held_out_probabilities,
)
from animal_clip_jax.recognition.presence import EMPTY_SCENES, presence
from animal_clip_jax.recognition.zero_shot import Recogniser, name_probabilities
from animal_clip_jax.run.config import recognised_sources, training_source
from animal_clip_jax.run.data import ClipSet, TrainingData
from animal_clip_jax.text.feature_cache import FeatureCache, cache_folder
from data_pipeline.clip_index import ClipIndex, load_index
from data_pipeline.dataset import dataset_digest

PROBE_FILE = "linear_probe.npz"
PROBE_FILE_OF_OLDER_RUNS = "animal_head.npz"
FEATURES_FOLDER = "image_features"


def check_learnable(config: ConfigDict, train: ClipSet) -> None:
    """Makes sure that the training clips have animals to learn, where a run is to learn them.

    Raises:
        UserError: they have none, or too few to hold clips out in training.
    """
    if "learned" not in recognised_sources(config):
        return
    pairs = zip(train.index.clip_ids, train.index.animals, strict=True)
    folds = {fold_of(clip_id) for clip_id, animals in pairs if animals}
    needed = 2 if training_source(config) == "learned" else 1
    if len(folds) < needed:
        raise UserError(
            f"{config.data.directory}: its training split has "
            f"{'too few clips' if folds else 'no clip'} with an animal, so animals cannot be "
            "'learned'; take 'predicted' or 'none' as their source"
        )


class AnimalRecognition:
    """Recognises the animals of clips, for the names of one data set.

    With several processes, all of them make the same calls.

    Args:
        config: the run's configuration.
        folder: of the run, where the linear probe is kept, and image features.
        animal_names: the labels, in order.
        train: the clips that a probe may be fitted to, if the folder has none; their animals must
            be `animal_names` then. None where these clips are not at hand.
        digest: of the recogniser that the run was trained with; "" if it does not say.
        descriptions: the texts of some animals, which "predicted" takes in place of those of
            `config.animals.prompts`.
        track: is given how far something is that takes long, see `progress.Screen.track`.

    Raises:
        UserError: the recogniser's weights are missing, damaged, hold no image–text model, or
            another one than before; a description file does not fit the names.
    """

    def __init__(
        self,
        config: ConfigDict,
        folder: epath.Path,
        animal_names: Sequence[str],
        mesh: Mesh,
        *,
        train: ClipSet | None = None,
        digest: str = "",
        descriptions: features.Descriptions = features.NO_DESCRIPTIONS,
        track: features.Track = lambda title, done, total, unit: None,
    ):
        self._config = config
        self._folder = folder
        self._animal_names = tuple(animal_names)
        self._mesh = mesh
        self._train = train
        self._digest = digest
        self._track = track
        self.recogniser = on_all(load_recogniser, config, digest)
        self._texts = on_all(
            features.class_texts,
            config.animals.prompts,
            self._animal_names,
            "animal",
            descriptions,
        )
        self._name_features: np.ndarray | None = None
        self._empty_features: np.ndarray | None = None
        self._probe: LinearProbe | None = None
        self._encode = jax.jit(self.recogniser.encode_frames)
        self._encode_each = jax.jit(self.recogniser.encode_each_frame)

    @classmethod
    def for_training(
        cls,
        config: ConfigDict,
        folder: epath.Path,
        data: TrainingData,
        mesh: Mesh,
        *,
        digest: str = "",
        track: features.Track = lambda title, done, total, unit: None,
    ) -> "AnimalRecognition | None":
        """The recognition that a run is trained or evaluated with; None if it needs none.

        Raises:
            UserError: see above; or a run that trains on recognised animals is given a recogniser
                that was fitted to the very clips.
        """
        if not recognised_sources(config):
            return None
        on_all(check_learnable, config, data.train)
        recognition = cls(
            config,
            folder,
            data.info.animal_names,
            mesh,
            train=data.train,
            digest=digest,
            track=track,
        )
        fitted_to = recognition.recogniser.fitted_to
        trained_on = f"{dataset_digest(config.data.directory)}/{config.data.train_split}"
        if training_source(config) is not None and fitted_to == trained_on:
            field, path = _recogniser_at(config)
            raise UserError(
                f"config.{field}: {path} was fitted to the very clips that are trained on, so what "
                "it sees in them is better than what it will see in any other; take the weights "
                "that it was fitted from, or evaluate with it only"
            )
        return recognition

    def for_animals(
        self,
        animal_names: Sequence[str],
        descriptions: features.Descriptions = features.NO_DESCRIPTIONS,
    ) -> "AnimalRecognition":
        """The same for other animals. Errors as above."""
        return AnimalRecognition(
            self._config,
            self._folder,
            animal_names,
            self._mesh,
            digest=self._digest,
            descriptions=descriptions,
        )

    def weights(
        self, source: str, clips: ClipSet, *, is_training: bool = False
    ) -> dict[str, np.ndarray]:
        """What a source says of every clip.

        Args:
            source: "predicted" or "learned".
            is_training: the clips are those that the probe is fitted to, and a model is to learn
                from what it says: each clip is judged by a probe that has not seen it.

        Returns:
            (animals,) float32 of sum 1 by clip id.
        """
        if is_training and source == "learned":
            probabilities = self._held_out(clips)
        else:
            probabilities = self.probabilities(source, self.image_features(clips))
        return dict(zip(clips.index.clip_ids, probabilities, strict=True))

    def _held_out(self, clips: ClipSet) -> np.ndarray:
        options = self._config.animals
        parts = [self._features_key(clips), self._animal_names, clips.index.animals]
        parts += [options.head_l2, options.top_k, clips.index.clip_ids]
        return self._kept(
            f"held_out_{clips.name}",
            _key(parts),
            (len(clips.index), len(self._animal_names)),
            lambda: held_out_probabilities(
                self.image_features(clips),
                multi_hot(clips.index, len(self._animal_names)),
                clips.index.clip_ids,
                self._animal_names,
                l2=options.head_l2,
                top_k=options.top_k,
            ),
        )

    def figures(self, weights: dict[str, np.ndarray], clips: ClipSet) -> dict[str, float]:
        """How well a source knows the annotated animals: `animals_top1`, `_top5`, `_mAP`."""
        return recognition_figures(
            np.stack([weights[clip_id] for clip_id in clips.index.clip_ids]),
            multi_hot(clips.index, len(self._animal_names)),
        )

    def probabilities(self, source: str, image_features: np.ndarray) -> np.ndarray:
        """What a source makes of image features, (clips, embed_dim) → (clips, animals)."""
        options = self._config.animals
        if source == "learned":
            return self.probe().probabilities(image_features, top_k=options.top_k)
        return name_probabilities(
            image_features,
            self._features_of_names(),
            logit_scale=float(self.recogniser.values["logit_scale"]),
            temperature=options.temperature,
            top_k=options.top_k,
        )

    def presence(self, frames: np.ndarray) -> np.ndarray:
        """How probable it is that an animal is in videos, see `recognition.presence`: (videos,
        frames, size, size, 3) uint8 → (videos,) float32."""
        if self._empty_features is None:
            texts = [[text] for text in EMPTY_SCENES]
            self._empty_features = self._encoded(texts, "empty scenes")
        return presence(
            np.asarray(self._encode_each(self.recogniser.values, frames)),
            self._features_of_names(),
            self._empty_features,
            logit_scale=float(self.recogniser.values["logit_scale"]),
            temperature=self._config.animals.temperature,
        )

    def _features_of_names(self) -> np.ndarray:
        if self._name_features is None:
            self._name_features = self._encoded(self._texts, "animals to recognise")
        return self._name_features

    def _encoded(self, texts: Sequence[Sequence[str]], what: str) -> np.ndarray:
        text = self.recogniser.model().text
        folder = cache_folder(self._config.prompts.cache)
        return features.encode_classes(
            text,
            texts,
            pooling="mean",
            mesh=self._mesh,
            cache=None if folder is None else FeatureCache.open(folder, text, self._mesh),
            what=what,
            track=self._track,
        )

    def image_features(self, clips: ClipSet) -> np.ndarray:
        """What the recogniser sees in every clip, (clips, embed_dim).

        It is kept in the run's folder, for the whole split, under a name that says of which data.
        """
        split = ClipSet(clips.split, clips.split, None, self._index_of(clips.split))
        found = self._kept(
            clips.split,
            self._features_key(clips),
            (len(split.index), self.recogniser.architecture.embed_dim),
            lambda: self._compute_features(split),
        )
        return found if clips.rows is None else found[clips.rows]

    def _index_of(self, split: str) -> ClipIndex:
        return load_index(self._config.data.directory, split)

    def _features_key(self, clips: ClipSet) -> str:
        data = dataset_digest(self._config.data.directory)
        recogniser = [self.recogniser.digest, self.recogniser.normalisation]
        return _key([recogniser, data, clips.split, self._config.animals.num_frames])

    def _compute_features(self, clips: ClipSet) -> np.ndarray:
        from data_pipeline.batches import input as input_pipeline

        config = self._config
        part, parts = mesh_lib.process_share(self._mesh)
        batches = input_pipeline.evaluation_batches(
            config.data.directory,
            split=clips.split,
            num_frames=config.animals.num_frames,
            image_size=self.recogniser.architecture.image_size,
            batch_size=batch_size_for(config.evaluation.batch_size, len(clips.index), self._mesh),
            process_index=part,
            process_count=parts,
            num_workers=config.data.num_workers or None,
        )
        return image_features(
            self.recogniser,
            batches,
            self._mesh,
            advance=lambda done: self._track(
                f"looking for animals, {clips.name}", done, len(clips.index), "clips"
            ),
        )

    def _kept(
        self, name: str, key: str, shape: tuple[int, ...], compute: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """An array from a file of the run's folder, or computed and kept there.

        What process 0 finds there counts. A file that cannot be read is replaced.
        """
        path = self._folder / FEATURES_FOLDER / f"{name}-{key[:16]}.npz"
        found = _read_array(path, key, shape) if is_first() else None
        if from_first(np.int32(found is not None)):
            return from_first(np.zeros(shape, np.float32) if found is None else found)
        array = compute()
        on_first(_write_array, path, key, array)
        return array

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        """What the recogniser sees in videos: (videos, frames, size, size, 3) uint8 →
        (videos, embed_dim)."""
        return np.asarray(self._encode(self.recogniser.values, frames))

    def probe(self) -> LinearProbe:
        """The linear probe of the run.

        Raises:
            MissingFileError: there is none yet, and it is not to be fitted here.
            UserError: it is damaged, was fitted with other settings, or knows none of the animals.
        """
        if self._probe is not None:
            return self._probe
        paths = [self._folder / name for name in (PROBE_FILE, PROBE_FILE_OF_OLDER_RUNS)]
        there = int(from_first(np.array([path.exists() for path in paths] + [True]).argmax()))
        if there < len(paths):
            probe = on_all(self._load_probe, paths[there])
        elif self._train is None:
            raise MissingFileError(
                f"{paths[0]}: this run has learned no animals; evaluate it once on the data that "
                "it was trained on, with 'learned' among config.evaluation.animal_sources"
            )
        else:
            probe = fit_linear_probe(
                self.image_features(self._train),
                multi_hot(self._train.index, len(self._animal_names)),
                self._animal_names,
                l2=self._config.animals.head_l2,
                settings=self._probe_settings(),
            )
            on_first(lambda: write_whole(paths[0], probe.to_bytes()))
        self._probe = probe.for_animals(self._animal_names)
        return self._probe

    def _load_probe(self, path: epath.Path) -> LinearProbe:
        probe = LinearProbe.from_bytes(
            check_is_file(path, "what was learned of animals").read_bytes(), str(path)
        )
        # Older programs kept another digest of the recogniser.
        if path.name == PROBE_FILE and probe.settings != self._probe_settings():
            raise UserError(
                f"{path}: fitted with another image–text model, or other config.animals.num_frames "
                "or head_l2; set them as they were, or delete the file to have it made anew"
            )
        return probe

    def _probe_settings(self) -> str:
        options = self._config.animals
        recogniser = [self.recogniser.digest, self.recogniser.normalisation]
        return _key([recogniser, options.num_frames, options.head_l2])


def load_recogniser(config: ConfigDict, digest: str = "") -> Recogniser:
    """The image–text model that `config.animals.weights` names, or the towers of `init_from`.

    Args:
        digest: of the one that the run was trained with; "" if there is none to compare with.

    Raises:
        MissingFileError: it is not there; the message asks for it by name.
        UserError: it is damaged, holds something else, or is not the one that it was.
    """
    field, folder = _recogniser_at(config)
    if not folder:
        raise UserError(
            "recognising animals needs pretrained weights: set config.animals.weights to a "
            "folder written by `animal-clip convert`, such as BioCLIP's, or "
            "config.init_from, whose CLIP towers then do it"
        )
    if not as_path(folder).exists():
        known = f" (SHA-256 {digest[:16]}…)" if digest else ""
        raise MissingFileError(
            f"the image–text model that recognises the animals is not at {folder}, which "
            f"config.{field} names{known}: put it there, say where it is with "
            "config.animals.weights, or take animals from 'none'"
        )
    recogniser = Recogniser.load(folder)
    if digest and recogniser.digest != digest:
        raise UserError(
            f"{folder} (config.{field}) is not the image–text model that the run's animals were "
            f"recognised with: its SHA-256 is {recogniser.digest[:16]}…, expected {digest[:16]}…"
        )
    return recogniser


def _recogniser_at(config: ConfigDict) -> tuple[str, str]:
    """The field that names the recogniser, and its folder; "" if none does."""
    field = "animals.weights" if config.animals.weights else "init_from"
    return field, config.animals.weights or config.init_from


def multi_hot(index: ClipIndex, num_animals: int) -> np.ndarray:
    """The annotated animals of clips, (clips, animals) bool."""
    animals = np.zeros((len(index), num_animals), bool)
    for row, labels in enumerate(index.animals):
        animals[row, list(labels)] = True
    return animals


def recognition_figures(probabilities: np.ndarray, animals: np.ndarray) -> dict[str, float]:
    """How well animals are recognised.

    Args:
        probabilities: (clips, animals).
        animals: (clips, animals) annotated, multi-hot; clips without an animal are left out.

    Returns:
        `animals_top1`, `animals_top5` (where there are as many animals) and `animals_mAP`; nothing
        if no clip has an animal.
    """
    annotated = animals.any(axis=1)
    if not annotated.any():
        return {}
    probabilities, animals = probabilities[annotated], animals[annotated]
    figures = {
        f"animals_top{k}": metrics.top_k_accuracy(probabilities, animals, k)
        for k in (1, 5)
        if k <= animals.shape[1]
    }
    return {**figures, "animals_mAP": metrics.mean_average_precision(probabilities, animals)}


def _key(parts: Sequence) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()


def _read_array(path: epath.Path, key: str, shape: tuple[int, ...]) -> np.ndarray | None:
    if not is_file(path):
        return None
    try:
        content = read_arrays(path.read_bytes())
        array = content["array"]
        return array if str(content["key"]) == key and array.shape == shape else None
    except (ValueError, KeyError, OSError):
        return None


def _write_array(path: epath.Path, key: str, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez(content, array=array, key=np.array(key))
    write_whole(path, content.getvalue())
