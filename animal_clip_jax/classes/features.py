"""Class features: the text tower over every class's texts, once for all runs."""

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import jax
import numpy as np
from jax.sharding import Mesh

from animal_clip_jax.classes import descriptions
from animal_clip_jax.errors import UserError
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.parallel.distributed import from_first, is_first
from animal_clip_jax.text.encoding import TextFeatures, encode_texts
from animal_clip_jax.text.feature_cache import DamagedEntry, FeatureCache

Kind = Literal["action", "animal"]
Say = Callable[[str], None]
# Texts of some classes, by their names.
Descriptions = Mapping[str, Sequence[str]]
NO_DESCRIPTIONS: Descriptions = MappingProxyType({})
# Is given a title, how much is done, of how much, and the unit.
Track = Callable[[str, int, int, str], object]
POOLINGS = ("max", "mean")


def class_texts(
    source: str,
    class_names: Sequence[str],
    kind: Kind,
    described: Descriptions = NO_DESCRIPTIONS,
    *,
    beside: Sequence[str] = (),
) -> list[list[str]]:
    """The texts of every class.

    Args:
        source: "names", "templates", or the path of a description file.
        class_names: the labels, in order.
        kind: "action" or "animal", which decides on the templates.
        described: the texts of some classes, which are not looked for in `source`.
        beside: other classes, which a description file describes as well.

    Returns:
        texts for every class, in the order of `class_names`; as many for each that `source` has.

    Raises:
        UserError: see `descriptions.read_descriptions`.
    """
    lacking = [name for name in class_names if name not in described]
    named = [*beside, *lacking] if lacking else []
    texts = {**dict(zip(named, _texts_of(source, named, kind), strict=True)), **described}
    return [list(texts[name]) for name in class_names]


def _texts_of(source: str, class_names: Sequence[str], kind: Kind) -> list[list[str]]:
    if not class_names:
        return []
    if source == "names":
        return descriptions.name_texts(class_names)
    if source == "templates":
        return descriptions.template_texts(class_names, kind)
    return descriptions.read_descriptions(source, class_names)


def pool(text_features: np.ndarray | jax.Array, pooling: str) -> np.ndarray:
    """Joins the features of a class's texts: elementwise maximum (published) or mean.

    (classes, texts, embed_dim) → (classes, embed_dim), not normalised.

    Raises:
        UserError: `pooling` is something else.
    """
    check_pooling(pooling)
    features = np.asarray(text_features)
    return features.max(axis=1) if pooling == "max" else features.mean(axis=1)


def check_pooling(pooling: str) -> None:
    """Raises UserError unless `pooling` is one of `POOLINGS`."""
    if pooling not in POOLINGS:
        raise UserError(f"config.prompts.pooling is {pooling!r}; expected 'max' or 'mean'")


def encode_classes(
    tower: TextTower,
    texts: Sequence[Sequence[str]],
    *,
    pooling: str = "max",
    mesh: Mesh | None = None,
    cache: FeatureCache | None = None,
    what: str = "classes",
    say: Say = lambda note: None,
    track: Track = lambda title, done, total, unit: None,
) -> np.ndarray:
    """Features of classes from their texts, read from the cache or computed and stored there.

    With several processes, all of them call it with the same. What process 0 finds in its cache
    counts; the others look into none. A cache that cannot be used, or an entry that is damaged, is
    said and done without: the features are computed.

    Args:
        tower: the text tower, see `encoding.encode_texts`.
        texts: of every class, at least one.
        pooling: "max" or "mean" over a class's texts.
        mesh: the devices to encode on; one device of this process unless given.
        cache: of this tower; None computes in any case.
        what: the classes' name in what is said.
        say: is given what a person should know, on process 0.
        track: is given how far the encoding is, again and again.

    Returns:
        (classes, embed_dim) float32.

    Raises:
        UserError: `pooling` is unknown, or a text cannot be tokenised.
    """
    check_pooling(pooling)
    if not texts:
        return np.zeros((0, tower.projection.shape[1]), np.float32)
    say = say if is_first() else lambda note: None
    flat = [text for row in texts for text in row]
    stored = _read(cache, flat, what, say)
    if from_first(np.int32(stored is not None)):
        # Only what came out of the pooling travels to the other processes.
        pooled = np.zeros((len(texts), tower.projection.shape[1]), np.float32)
        if stored is not None:
            _say_cut(stored, what, tower, say)
            pooled = _pooled(stored.features, texts, pooling)
        return from_first(pooled)
    say(f"{what}: encoding {len(flat)} texts")
    result = encode_texts(
        tower,
        flat,
        mesh=mesh,
        advance=lambda done: track(f"encoding {what}", done, len(flat), "texts"),
    )
    _say_cut(result, what, tower, say)
    _write(cache, flat, result, what, say)
    return _pooled(result.features, texts, pooling)


def _read(cache: FeatureCache | None, texts: list[str], what: str, say: Say) -> TextFeatures | None:
    if cache is None or not is_first():
        return None
    try:
        stored = cache.read(texts)
    except DamagedEntry as error:
        say(f"{what}: {error}; it is computed and stored again")
        return None
    except OSError as error:
        say(f"{what}: the cache of class features cannot be read: {error}")
        return None
    if stored is not None:
        say(f"{what}: features of {len(texts)} texts, read from {_typed(cache.folder)}")
    return stored


def _typed(folder: pathlib.Path) -> str:
    """A path as a person types it, with ~ for their own folder."""
    home = str(pathlib.Path.home())
    text = str(folder)
    return "~" + text.removeprefix(home) if text.startswith(home + os.sep) else text


def _write(
    cache: FeatureCache | None, texts: list[str], result: TextFeatures, what: str, say: Say
) -> None:
    if cache is None or not is_first():
        return
    try:
        cache.write(texts, result)
    except UserError as error:
        say(
            f"{what}: the features cannot be kept for the next start: {error}; choose another "
            "folder as config.prompts.cache, or 'none'"
        )


def _say_cut(result: TextFeatures, what: str, tower: TextTower, say: Say) -> None:
    if result.num_cut:
        say(
            f"{what}: {result.num_cut} of {len(result.features)} texts are longer than the text "
            f"tower's {tower.position_embedding.shape[0]} tokens and were cut"
        )


def _pooled(text_features: np.ndarray, texts: Sequence[Sequence[str]], pooling: str) -> np.ndarray:
    """Features of all texts of all classes, one after another → those of the classes."""
    ends = np.cumsum([len(row) for row in texts])
    of_classes = np.split(text_features, ends[:-1])
    return np.concatenate([pool(features[None], pooling) for features in of_classes])
