"""Other actions and animals than those that a model was trained on."""

import collections
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh

from animal_clip_jax.classes import features
from animal_clip_jax.classes.context import ClassTexts, class_context
from animal_clip_jax.classes.labels import read_names
from animal_clip_jax.classes.similarity import own_edges, said_of, with_similar
from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.errors import UserError
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.text import TextTower
from data_pipeline.names import shows_nothing


class Labels(NamedTuple):
    """The names of actions and animals, in the order of a model's outputs and inputs."""

    actions: tuple[str, ...]
    animals: tuple[str, ...]


def check_labels(labels: Labels) -> None:
    """Refuses labels that cannot be told apart.

    Raises:
        UserError: a name is empty or occurs twice; names it.
    """
    for kind, names in (("action", labels.actions), ("animal", labels.animals)):
        for index, name in enumerate(names):
            if not isinstance(name, str):
                raise UserError(
                    f"the {kind} {index + 1} of {len(names)} is {name!r}; expected a name"
                )
            if not name.strip():
                raise UserError(f"the name of {kind} {index + 1} of {len(names)} is empty")
        repeated = [name for name, count in collections.Counter(names).items() if count > 1]
        if repeated:
            raise UserError(f"the {kind} {repeated[0]!r} is given more than once")
    both = sorted(set(labels.actions) & set(labels.animals))
    if both:
        raise UserError(f"{both[0]!r} is given as an action and as an animal; rename one of them")


def check_descriptions(descriptions: features.Descriptions, labels: Labels) -> None:
    """Refuses texts that are of no label, or say nothing.

    Raises:
        UserError: names the label.
    """
    for name, texts in descriptions.items():
        if name not in (names := (*labels.actions, *labels.animals)):
            raise UserError(
                f"descriptions: {name!r} is not one of the labels{did_you_mean(name, names)}"
            )
        if isinstance(texts, str) or not isinstance(texts, Sequence) or not texts:
            raise UserError(f"descriptions: expected a list of texts of {name!r}, found {texts!r}")
        for index, text in enumerate(texts):
            if not isinstance(text, str) or shows_nothing(text):
                raise UserError(
                    f"descriptions: text {index + 1} of {len(texts)} of {name!r} is {text!r}; "
                    "expected a sentence"
                )


def names_or(path: str, otherwise: Sequence[str]) -> tuple[str, ...]:
    """The names in a file, see `read_names`; if `path` is "", those given.

    Raises:
        UserError: see `read_names`.
    """
    return tuple(read_names(path) if path else otherwise)


def context_of_labels(
    tower: TextTower,
    trained: ClassContext,
    trained_labels: Labels,
    labels: Labels,
    *,
    sources: Mapping[str, str],
    trained_sources: Mapping[str, str],
    descriptions: features.Descriptions = features.NO_DESCRIPTIONS,
    relation: np.ndarray | None = None,
    similarity: float = 0.0,
    pooling: str = "max",
    cache: str = "none",
    mesh: Mesh | None = None,
    say: features.Say = lambda note: None,
    track: features.Track = lambda title, done, total, unit: None,
) -> ClassContext:
    """The class context of a trained model for other actions and animals.

    A class that training had, under the same name, keeps its features, unless it is described anew;
    the others are made from their texts. An animal performs the actions that it performed in
    training, where both have the same name; unseen actions and animals have no relations, unless
    they are given, or taken over from animals with similar texts.

    Args:
        tower: the model's text tower.
        trained: the class context of the training.
        trained_labels: its actions and animals.
        labels: the new ones.
        sources: of the texts of "actions" and "animals": "names", "templates" or the path of a
            description file.
        trained_sources: those of the training. Where `sources` says otherwise, the texts of all
            classes of that kind come from there.
        descriptions: the texts of some of the new labels, whatever `sources` says.
        relation: (actions, animals) of the new labels, to take instead of the training's.
        similarity: the temperature at which animals take over what others do, see `with_similar`:
            the animals of the training, or those of `relation`; 0 leaves it.
        pooling, cache, mesh, say, track: see `context.class_context`.

    Raises:
        UserError: labels cannot be told apart; a description file is missing or does not fit them.
    """
    check_labels(labels)
    check_descriptions(descriptions, labels)
    if not len(trained.animal_features):  # the model is never told the animals
        trained_labels, labels = (each._replace(animals=()) for each in (trained_labels, labels))
    kept: dict[str, dict[str, np.ndarray]] = {}
    texts: dict[str, list[list[str]]] = {}
    for kind, known, new, held in (
        ("actions", trained_labels.actions, labels.actions, trained.action_features),
        ("animals", trained_labels.animals, labels.animals, trained.animal_features),
    ):
        is_same = sources[kind] == trained_sources[kind] and len(held) == len(known)
        held_of = dict(zip(known, np.asarray(held), strict=True)) if is_same else {}
        kept[kind] = {name: row for name, row in held_of.items() if name not in descriptions}
        unknown = [name for name in new if name not in kept[kind]]
        try:
            texts[kind] = features.class_texts(
                sources[kind],
                unknown,
                "action" if kind == "actions" else "animal",
                descriptions,
                beside=known if is_same else (),
            )
        except UserError as error:
            if not is_same:
                raise
            lacking = next(name for name in unknown if name not in descriptions)
            raise UserError(
                f"the training's {kind} are described, and {lacking!r} is not ({error}); describe "
                f"it by config.prompts.{kind}, a file of texts of all {kind}, or in Python by "
                f"with_actions(…, descriptions={{{lacking!r}: […]}})"
            ) from error
    performed: np.ndarray | None = None  # by the animals of the training
    if relation is None:
        edges = own_edges(np.asarray(trained.relation))
        relation = carry_over(edges, *trained_labels, *labels)
        performed = carry_over(edges, *trained_labels, labels.actions, trained_labels.animals)
        say(
            f"relation graph: {int(relation.sum())} of the training's "
            f"{int(edges.sum())} edges, where action and animal are known by name"
        )
    fresh = class_context(
        tower,
        ClassTexts(**texts),
        np.zeros((len(texts["actions"]), len(texts["animals"])), np.float32),
        pooling=pooling,
        cache=cache,
        mesh=mesh,
        say=say,
        track=track,
    )

    def in_order(names: Sequence[str], kind: str, encoded: np.ndarray) -> np.ndarray:
        rows = iter(encoded)
        found = [kept[kind][name] if name in kept[kind] else next(rows) for name in names]
        return np.stack(found) if found else np.zeros_like(encoded[:0])

    animal_features = in_order(labels.animals, "animals", np.asarray(fresh.animal_features))
    if similarity and labels.animals:
        if performed is None:
            performed, performers, names = relation, animal_features, labels.animals
        else:
            performers, names = np.asarray(trained.animal_features), trained_labels.animals
        is_same = np.array(labels.animals)[:, None] == np.array(names)
        relation = with_similar(
            relation, animal_features, performed, performers, is_same, similarity
        )
        say(said_of(relation))
    return ClassContext(
        action_features=in_order(labels.actions, "actions", np.asarray(fresh.action_features)),
        animal_features=animal_features,
        relation=np.asarray(relation, np.float32),
    )


def context_without_training(
    tower: TextTower, labels: Labels, descriptions: features.Descriptions, *, mesh: Mesh
) -> ClassContext:
    """The class context of labels of which nothing is known but their names, or descriptions; no
    animal performs anything.

    Args:
        tower, labels, descriptions, mesh: see `context_of_labels`.
    """
    return class_context(
        tower,
        ClassTexts(
            features.class_texts("names", labels.actions, "action", descriptions),
            features.class_texts("names", labels.animals, "animal", descriptions),
        ),
        np.zeros((len(labels.actions), len(labels.animals)), np.float32),
        mesh=mesh,
    )


def carry_over(
    table: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    new_rows: Sequence[str],
    new_columns: Sequence[str],
) -> np.ndarray:
    """A table for other labels: its value where both names are known, 0 elsewhere.

    Args:
        table: (rows, columns).
        rows, columns: its labels.
        new_rows, new_columns: the labels of the result.

    Returns:
        (new_rows, new_columns) of the same dtype.
    """
    result = np.zeros((len(new_rows), len(new_columns)), table.dtype)
    row_of = {name: index for index, name in enumerate(rows)}
    column_of = {name: index for index, name in enumerate(columns)}
    known_rows = [index for index, name in enumerate(new_rows) if name in row_of]
    known_columns = [index for index, name in enumerate(new_columns) if name in column_of]
    source_rows = [row_of[new_rows[index]] for index in known_rows]
    source_columns = [column_of[new_columns[index]] for index in known_columns]
    result[np.ix_(known_rows, known_columns)] = table[np.ix_(source_rows, source_columns)]
    return result
