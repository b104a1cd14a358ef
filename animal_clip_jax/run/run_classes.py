"""What the model of a run knows of its classes: texts, and who does what."""

from collections.abc import Callable, Sequence

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.classes import context, features, relation_graph, similarity
from animal_clip_jax.models.class_context import ClassContext, without_texts
from animal_clip_jax.models.description import CLASSIFIERS
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel.distributed import on_all
from animal_clip_jax.run import assembly
from animal_clip_jax.text.class_names import name_tokens
from data_pipeline.clip_index import ClipIndex
from data_pipeline.dataset import DatasetInfo


def class_context(
    config: ConfigDict,
    values: Parameters,
    info: DatasetInfo,
    train_index: ClipIndex,
    mesh: Mesh,
    say: Callable[[str], None],
    track: features.Track = lambda title, done, total, unit: None,
) -> ClassContext:
    """Encodes the texts of all classes, and takes the relation that `config.relation` describes.

    Models of fixed classes read no texts, and VideoPrompt reads the names of the actions. All
    processes call it.

    Args:
        values: all parameters of the model by path.
        train_index: the clips that are trained on.
        say: is given what a person should know about it.
        track: see `features.encode_classes`.

    Raises:
        UserError: a description file or a relation is missing or does not fit the labels.
    """
    family = config.model.family
    if family in CLASSIFIERS:
        return without_texts(len(info.action_names))
    if family == "video_prompt":
        return prompted_names(config, info.action_names)
    if family == "xclip":
        # It is never told the animals.
        animal_names: tuple[str, ...] = ()
        relation = np.zeros((len(info.action_names), 0), np.float32)
    else:
        animal_names = info.animal_names
        relation, origin = on_all(
            relation_graph.relation_of,
            info,
            train_index,
            file=config.relation.file,
            taxonomy=config.relation.taxonomy,
            min_clips=config.relation.min_clips,
        )
        say(origin)
    architecture = assembly.model_description(config.model).towers
    classes = context.class_context(
        context.text_tower(architecture, values),
        on_all(class_texts, config, info.action_names, animal_names),
        relation,
        pooling=config.prompts.pooling,
        cache=config.prompts.cache,
        mesh=mesh,
        say=say,
        track=track,
    )
    temperature = config.relation.similarity
    if not (temperature and animal_names):
        return classes
    known = np.asarray(classes.animal_features)
    is_same = np.eye(len(known), dtype=bool)
    relation = similarity.with_similar(relation, known, relation, known, is_same, temperature)
    say(similarity.said_of(relation))
    return classes._replace(relation=relation)


def class_texts(
    config: ConfigDict, action_names: Sequence[str], animal_names: Sequence[str]
) -> context.ClassTexts:
    """The texts of all classes, as `config.prompts` says.

    Raises:
        UserError: a description file is missing or does not fit the names.
    """
    return context.ClassTexts(
        features.class_texts(config.prompts.actions, action_names, "action"),
        features.class_texts(config.prompts.animals, animal_names, "animal"),
    )


def prompted_names(config: ConfigDict, action_names: Sequence[str]) -> ClassContext:
    """The names of actions, as a VideoPrompt reads them.

    Raises:
        UserError: one is too long, see `class_names.name_tokens`.
    """
    dimensions = assembly.model_description(config.model).video_prompt
    tokens = name_tokens(action_names, dimensions)
    return without_texts(len(action_names), action_features=tokens)
