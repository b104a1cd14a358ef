"""Other actions and animals than those that a model was trained on."""

from collections.abc import Sequence

import numpy as np
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.classes import context, features
from animal_clip_jax.classes.relation_graph import relation_in
from animal_clip_jax.classes.writing.files import read_names
from animal_clip_jax.models.classes import ClassContext
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel.distributed import on_all

Labels = tuple[Sequence[str], Sequence[str]]


def names_or(path: str, otherwise: Sequence[str]) -> tuple[str, ...]:
    """The names in a file, see `read_names`; if `path` is "", those given.

    Raises:
        FileNotFoundError, ValueError: see `read_names`.
    """
    return tuple(read_names(path) if path else otherwise)


def class_context_of_labels(
    config: ConfigDict,
    graphdef: nnx.GraphDef,
    values: Parameters,
    trained: ClassContext,
    *,
    trained_labels: Labels,
    labels: Labels,
    mesh: Mesh,
    say: features.Say = lambda note: None,
) -> ClassContext:
    """The class context of a trained model for other actions and animals.

    Their features are made from `config.prompts`. An animal performs the actions that it performed
    in training, where both have the same name; unseen actions and animals have no relations, unless
    `config.relation.file` gives them.

    Args:
        graphdef, values: the model and its parameters, as `context.class_context` takes them.
        trained: the class context of the training.
        trained_labels: its actions and animals.
        labels: the new ones.

    Raises:
        FileNotFoundError, ValueError: a description file or a relation file is missing or does not
            fit the labels.
    """
    if config.relation.file:
        relation = on_all(relation_in, config.relation.file, *labels)
        say(f"relation graph: {int(relation.sum())} edges, from {config.relation.file}")
    else:
        relation = carry_over(np.asarray(trained.relation), *trained_labels, *labels)
        say(
            f"relation graph: {int(relation.sum())} of the training's "
            f"{int(np.sum(trained.relation))} edges, where action and animal are known by name"
        )
    return context.class_context(
        graphdef, values, *labels, relation, prompts=config.prompts, mesh=mesh, say=say
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
