"""How often an image–text model finds the label of a held-out picture, by texts of the labels."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh

from animal_clip_jax.classes import features
from animal_clip_jax.classes.descriptions import read_descriptions
from animal_clip_jax.classes.file_errors import FileErrors, csv_rows
from animal_clip_jax.errors import UserError, quoted, shortened
from animal_clip_jax.evaluation.intervals import wilson
from animal_clip_jax.recognition.image_features import image_features
from animal_clip_jax.recognition.zero_shot import Recogniser
from animal_clip_jax.tables import format_columns
from data_pipeline.pairs.index import NO_LABEL, PairIndex

_BATCH = 256  # pictures


class LabelAccuracy(NamedTuple):
    """How often the label of a picture is the likeliest.

    Attributes:
        of: which pictures: of labels that are "seen" or "unseen" in training.
        by: which texts stand for the labels: "name" or "description".
        among: number of labels that one is chosen of.
        pairs: pictures.
        top1: share of them, 0 to 1.
    """

    of: str
    by: str
    among: int
    pairs: int
    top1: float

    @property
    def name(self) -> str:
        """For figures by name: "unseen_by_description_among_8"."""
        return f"{self.of}_by_{self.by}_among_{self.among}"


class LabelTexts(NamedTuple):
    """The labels that one is chosen of.

    Attributes:
        names: of all.
        texts: of all, by kind: "name", and "description" where there are some.
    """

    names: tuple[str, ...]
    texts: dict[str, list[list[str]]]


def label_texts(path: str | os.PathLike[str] | None, labels: Sequence[str]) -> LabelTexts:
    """The texts of labels: their names in templates, and those of a file.

    Args:
        path: a description file (see `descriptions.read_descriptions`) of these labels, and perhaps
            of others, which are then chosen of too; None has names alone.
        labels: of the pairs.

    Raises:
        UserError: the file is missing, damaged, or lacks a label.
    """
    names = list(labels)
    texts = {}
    if path is not None:
        errors = FileErrors(path)
        rows, _ = csv_rows(errors)
        listed = list(dict.fromkeys(row[0] for _, row in rows[1:] if row[0]))
        lacking = [name for name in labels if name not in listed]
        if listed and lacking:
            more = f" and {len(lacking) - 1} more labels" if len(lacking) > 1 else ""
            raise UserError(
                f"{path}: no text for {quoted(lacking[0])}{more} of the pairs; it has texts for "
                f"{shortened(', '.join(listed))}"
            )
        names = listed or names
        texts["description"] = read_descriptions(path, names)
    texts["name"] = features.class_texts("templates", names, "animal")
    return LabelTexts(tuple(names), texts)


def label_accuracies(
    pictures: np.ndarray,
    labels: np.ndarray,
    is_seen: np.ndarray,
    text_features: Mapping[str, np.ndarray],
) -> list[LabelAccuracy]:
    """Top-1 accuracies; none of a kind of pictures that there are none of.

    Names say nothing of a label that no training text named, so unseen labels are looked for by
    descriptions alone.

    Args:
        pictures: (pairs, embed_dim) of unit length.
        labels: (pairs,) int.
        is_seen: (labels,) bool, whether training has pairs of a label.
        text_features: (labels, embed_dim) of each kind of texts, of any length.
    """
    found = []
    for of, by, is_among in (
        ("seen", "name", np.ones_like(is_seen)),
        ("seen", "description", np.ones_like(is_seen)),
        ("unseen", "description", np.ones_like(is_seen)),
        ("unseen", "description", ~is_seen),
    ):
        rows = is_seen[labels] == (of == "seen")
        if by not in text_features or not rows.any():
            continue
        texts, among = text_features[by], np.flatnonzero(is_among)
        texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)
        best = among[np.argmax(pictures[rows] @ texts[among].T, axis=1)]
        top1 = float(np.mean(best == labels[rows]))
        found.append(LabelAccuracy(of, by, len(among), int(rows.sum()), top1))
    return found


def measure(
    recogniser: Recogniser, index: PairIndex, seen: Sequence[str], given: LabelTexts, mesh: Mesh
) -> list[LabelAccuracy]:
    """`label_accuracies` of a model on the labelled pairs of a split.

    Args:
        index: of the split.
        seen: labels that training has pairs of.
        given: the texts of all labels.
    """
    is_labelled = index.labels != NO_LABEL
    pictures = image_features(recogniser, _pictures(recogniser, index, mesh), mesh)[is_labelled]
    number = {name: place for place, name in enumerate(given.names)}
    labels = np.array([number[index.label_names[label]] for label in index.labels[is_labelled]])
    text_features = {
        kind: features.encode_classes(recogniser.model().text, texts, pooling="mean", mesh=mesh)
        for kind, texts in given.texts.items()
    }
    return label_accuracies(pictures, labels, np.isin(given.names, list(seen)), text_features)


def _pictures(
    recogniser: Recogniser, index: PairIndex, mesh: Mesh
) -> Iterator[dict[str, np.ndarray]]:
    from data_pipeline.pairs.batches import all_batches

    size = -(-min(_BATCH, len(index)) // mesh.size) * mesh.size
    batches = all_batches(index, image_size=recogniser.architecture.image_size, batch_size=size)
    for batch in batches:
        missing = size - len(batch.images)
        images = np.pad(batch.images, ((0, missing), (0, 0), (0, 0), (0, 0)))
        mask = np.arange(size) < len(batch.images)
        yield {"frames": images[:, None, None], "mask": mask}


def table(accuracies: Sequence[LabelAccuracy], split: str) -> str:
    """The accuracies with their intervals and what chance would give, for people."""
    rows = [("pictures of labels", "found by", "among", "pairs", "top-1", "95 %", "chance")]
    for one in accuracies:
        low, high = wilson(one.top1, one.pairs)
        rows.append(
            (
                f"{one.of} in training",
                one.by,
                f"{one.among}",
                f"{one.pairs}",
                f"{one.top1:.1%}",
                f"{low:.1%} to {high:.1%}",
                f"{1 / one.among:.1%}",
            )
        )
    return f"zero-shot, split {split!r}\n{format_columns(rows, labels=2)}"
