"""Recognised animals of a run's clips: features once, then probabilities under each source."""

import hashlib
import json
import pathlib
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.classes import features
from animal_clip_jax.evaluation import metrics
from animal_clip_jax.models.animal_sources import RECOGNISED
from animal_clip_jax.parallel.distributed import from_first, on_all, on_first
from animal_clip_jax.recognition.image_features import kept_split_features
from animal_clip_jax.recognition.linear_probe import (
    AnimalHead,
    fit_head,
    fold_of,
    held_out_probabilities,
)
from animal_clip_jax.recognition.zero_shot import Recogniser, name_probabilities
from animal_clip_jax.text.feature_cache import FeatureCache, cache_folder
from data_pipeline.dataset import ClipIndex, load_index

HEAD_FILE = "animal_head.npz"


def sources_in(config: ConfigDict) -> set[str]:
    """The recognised sources that a run trains or evaluates with."""
    options = config.animals
    used = {options.source, *config.evaluation.animal_sources}
    if options.label_dropout > 0:
        used.add(options.otherwise)
    return used & set(RECOGNISED)


def training_source(config: ConfigDict) -> str | None:
    """The recognised source that training needs, None if it needs none."""
    options = config.animals
    used = [options.source, *([options.otherwise] if options.label_dropout > 0 else [])]
    return next((source for source in used if source in RECOGNISED), None)


def check_learnable(config: ConfigDict) -> None:
    """Makes sure that the training split has animals to learn, where a run is to learn them.

    Raises:
        ValueError: it has none, or too few to hold clips out in training.
    """
    if "learned" not in sources_in(config):
        return
    index = load_index(config.data.directory, config.data.train_split)
    pairs = zip(index.clip_ids, index.animals, strict=True)
    folds = {fold_of(clip_id) for clip_id, animals in pairs if animals}
    needed = 2 if training_source(config) == "learned" else 1
    if len(folds) < needed:
        raise ValueError(
            f"{config.data.directory}: its training split has "
            f"{'too few clips' if folds else 'no clip'} with an animal, so animals cannot be "
            "'learned'; take 'predicted' or 'none' as their source"
        )


class AnimalRecognition:
    """Recognises the animals of clips, for the names of one data set.

    With several processes, all of them make the same calls.

    Args:
        config: the run's configuration.
        workdir: where the head of the run is kept, and what was seen.
        animal_names: the labels, in order.
        fits_head: whether a workdir without a head gets one, fitted to the training split of
            `config.data`, whose animals must be `animal_names` then.

    Raises:
        FileNotFoundError, ValueError: the recogniser's weights are missing, damaged, or hold no
            image–text model; a description file does not fit the names.
    """

    def __init__(
        self,
        config: ConfigDict,
        workdir: pathlib.Path,
        animal_names: Sequence[str],
        mesh: Mesh,
        *,
        fits_head: bool = False,
    ):
        self._fits_head = fits_head
        self._config = config
        self._workdir = workdir
        self._animal_names = tuple(animal_names)
        self._mesh = mesh
        self.recogniser = on_all(self._load)
        self._texts = on_all(
            features.class_texts, config.animals.prompts, self._animal_names, "animal"
        )
        self._name_features: np.ndarray | None = None
        self._seen: dict[str, np.ndarray] = {}

    def _load(self) -> Recogniser:
        folder = self._config.animals.weights or self._config.init_from
        if not folder:
            raise ValueError(
                "recognising animals needs pretrained weights: set config.animals.weights to a "
                "folder written by `python -m animal_clip_jax.convert`, such as BioCLIP's, or "
                "config.init_from, whose CLIP towers then do it"
            )
        return Recogniser.load(folder)

    def weights(
        self, source: str, split: str, *, is_training: bool = False
    ) -> dict[str, np.ndarray]:
        """What a source says of every clip of a split.

        Args:
            source: "predicted" or "learned".
            is_training: the split is the one that the head is fitted to, and a model is to learn
                from what the head says: each clip is judged by a head that has not seen it.

        Returns:
            (animals,) float32 of sum 1 by clip id.
        """
        index = load_index(self._config.data.directory, split)
        if is_training and source == "learned":
            probabilities = held_out_probabilities(
                self.seen(split),
                multi_hot(index, len(self._animal_names)),
                index.clip_ids,
                self._animal_names,
                l2=self._config.animals.head_l2,
                top_k=self._config.animals.top_k,
            )
        else:
            probabilities = self.probabilities(source, self.seen(split))
        return dict(zip(index.clip_ids, probabilities, strict=True))

    def figures(self, weights: dict[str, np.ndarray], split: str) -> dict[str, float]:
        """How well a source knows the annotated animals: `animals_top1`, `_top5`, `_mAP`."""
        index = load_index(self._config.data.directory, split)
        return recognition_figures(
            np.stack([weights[clip_id] for clip_id in index.clip_ids]),
            multi_hot(index, len(self._animal_names)),
        )

    def probabilities(self, source: str, seen: np.ndarray) -> np.ndarray:
        """What a source makes of what is seen in clips, (clips, embed_dim) → (clips, animals)."""
        options = self._config.animals
        if source == "learned":
            return self.head().probabilities(seen, top_k=options.top_k)
        if self._name_features is None:
            text = self.recogniser.model().text
            folder = cache_folder(self._config.prompts.cache)
            self._name_features = features.encode_classes(
                text,
                self._texts,
                pooling="mean",
                mesh=self._mesh,
                cache=None if folder is None else FeatureCache.open(folder, text, self._mesh),
                what="animals to recognise",
            )
        return name_probabilities(
            seen,
            self._name_features,
            logit_scale=float(self.recogniser.values["logit_scale"]),
            temperature=options.temperature,
            top_k=options.top_k,
        )

    def seen(self, split: str) -> np.ndarray:
        """What the recogniser sees in every clip of a split, (clips, embed_dim).

        It is kept in the workdir, in `seen_{split}.npz`.
        """
        if split not in self._seen:
            self._seen[split] = kept_split_features(
                self._workdir / f"seen_{split}.npz",
                self.recogniser,
                self._config.data.directory,
                split,
                num_frames=self._config.animals.num_frames,
                batch_size=self._config.evaluation.batch_size,
                mesh=self._mesh,
                num_workers=self._config.data.num_workers or None,
            )
        return self._seen[split]

    def see_video(self, frames: np.ndarray) -> np.ndarray:
        """What the recogniser sees in one video: (frames, size, size, 3) uint8 → (embed_dim,)."""
        see = jax.jit(self.recogniser.see)
        return np.asarray(see(self.recogniser.values, frames[None]))[0]

    def head(self) -> AnimalHead:
        """The head of the run.

        Raises:
            FileNotFoundError: there is none yet, and it is not to be fitted here.
            ValueError: it is damaged, was fitted with other settings, or knows none of the animals.
        """
        path = self._workdir / HEAD_FILE
        if from_first(np.int32(path.exists())):
            head = on_all(self._load_head, path)
        elif not self._fits_head:
            raise FileNotFoundError(
                f"{path}: this run has learned no animals; evaluate it once on the data that it "
                "was trained on, with 'learned' among config.evaluation.animal_sources"
            )
        else:
            split = self._config.data.train_split
            index = load_index(self._config.data.directory, split)
            head = fit_head(
                self.seen(split),
                multi_hot(index, len(self._animal_names)),
                self._animal_names,
                l2=self._config.animals.head_l2,
                settings=self._head_settings(),
            )
            on_first(head.save, path)
        return head.for_animals(self._animal_names)

    def _load_head(self, path: pathlib.Path) -> AnimalHead:
        head = AnimalHead.load(path)
        if head.settings != self._head_settings():
            raise ValueError(
                f"{path}: fitted with another image–text model, or other config.animals.num_frames "
                "or head_l2; set them as they were, or delete the file to have it made anew"
            )
        return head

    def _head_settings(self) -> str:
        options = self._config.animals
        recogniser = [self.recogniser.digest, self.recogniser.normalisation]
        parts = [recogniser, options.num_frames, options.head_l2]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def multi_hot(index: ClipIndex, num_animals: int) -> np.ndarray:
    """The annotated animals of a split's clips, (clips, animals) bool."""
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
