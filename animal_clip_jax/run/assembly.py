"""From a configuration to what it describes: model, parameters, optimizer, loss, classes."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.classes import context, features, relation_graph, similarity
from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_clip import AnimalCLIP
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.attention import XLA, Attention
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.description import ModelDescription, build
from animal_clip_jax.models.normalisation import Normalisation
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.models.refinement_options import NO_REFINEMENT, RefinementOptions
from animal_clip_jax.models.xclip import XCLIP
from animal_clip_jax.parallel.distributed import on_all
from animal_clip_jax.run import schema
from animal_clip_jax.training import losses
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.losses import Loss
from animal_clip_jax.training.step import StepSettings
from data_pipeline.clip_index import ClipIndex
from data_pipeline.dataset import DatasetInfo


def model_description(config: ConfigDict) -> ModelDescription:
    """The family and dimensions that `config.model` asks for.

    Args:
        config: the field `model` of a run's configuration, with nothing left open (`run.start`).

    Raises:
        UserError: a field has no meaning; the message names it.
    """
    schema.refuse(schema.problems_of_values({"model": config}))
    try:
        architecture = ClipArchitecture(**config.architecture)
        heads = heads_of(architecture.embed_dim)
        return ModelDescription(
            family=config.family,
            architecture=architecture,
            num_frames=config.num_frames,
            integration_layers=config.integration_layers,
            integration_heads=heads,
            prompt_layers=config.prompt_layers,
            prompt_heads=heads,
            graph_width=config.graph_width if config.family == "animal_clip" else None,
        )
    except ValueError as error:
        raise UserError(f"config.model: {error}") from error


def build_model(
    config: ConfigDict, *, attention: Attention = XLA, rngs: nnx.Rngs
) -> AnimalCLIP | XCLIP:
    """The model that `config.model` describes, with random parameters.

    Args:
        attention: see `run.attention`; which it is depends on the devices.

    Raises:
        UserError: see `model_description`.
    """
    model = _Arguments.of(config, attention).build(rngs)
    assert isinstance(model, AnimalCLIP | XCLIP)
    return model


def refinement(config: ConfigDict) -> RefinementOptions:
    """How `config.model` has features fitted to the animals of a clip."""
    if not config.refinement:
        return NO_REFINEMENT
    return RefinementOptions(
        graph=config.graph,
        adaptive_prompts=config.adaptive_prompts,
        unknown_animals=config.unknown_animals,
        gate=config.gate,
    )


def abstract_model(
    config: ConfigDict, attention: Attention = XLA
) -> tuple[nnx.GraphDef, Parameters]:
    """Structure and parameter shapes of the model that `config.model` describes.

    Args:
        attention: as for `build_model`.
    """
    graphdef, abstract = _abstract(_Arguments.of(config, attention))
    return graphdef, dict(abstract)


class _Arguments(NamedTuple):
    """Those of `build`, without the random numbers."""

    description: ModelDescription
    drop_path_rate: float
    remat: str
    attention: Attention
    refinement: RefinementOptions
    dtype: jnp.dtype

    @classmethod
    def of(cls, config: ConfigDict, attention: Attention) -> "_Arguments":
        return cls(
            model_description(config),
            drop_path_rate=config.drop_path_rate,
            remat=config.remat,
            attention=attention,
            refinement=refinement(config),
            dtype=jnp.dtype(config.dtype),
        )

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return build(**self._asdict(), rngs=rngs)


# Tracing what makes a model takes a second or two, and a run asks for the same one several times.
@functools.lru_cache(maxsize=8)
def _abstract(arguments: _Arguments) -> tuple[nnx.GraphDef, Parameters]:
    return parameters.abstract(lambda: arguments.build(parameters.rngs_for_shapes()))


@functools.partial(jax.jit, static_argnames="arguments")
def _initial_values(key: jax.Array, arguments: _Arguments) -> Parameters:
    return parameters.split(arguments.build(nnx.Rngs(key)))[1]


def normalisation(config: ConfigDict) -> Normalisation:
    """The pixel statistics of `config.data`."""
    return Normalisation(tuple(config.data.mean), tuple(config.data.std))


def outputs(config: ConfigDict) -> str:
    """What turns the model's logits into probabilities, "softmax" or "sigmoid"."""
    return losses.OUTPUTS[config.loss]


def scores(config: ConfigDict) -> str:
    """What turns the logits of a view into scores in an evaluation, "softmax" or "sigmoid"."""
    return "softmax" if config.evaluation.scores == "softmax" else outputs(config)


def random_parameters(config: ConfigDict) -> Parameters:
    """Initial values of the model that `config.model` describes, a function of `config.seed`."""

    return _initial_values(jax.random.key(config.seed), _Arguments.of(config.model, XLA))


def make_optimizer(
    config: ConfigDict, groups: Mapping[str, str], *, steps_per_epoch: int
) -> tuple[optax.GradientTransformation, dict[str, optax.Schedule]]:
    """The optimizer that `config.optimizer` describes, and the schedule of each rate.

    Args:
        groups: optimizer group of every parameter.
    """
    options = config.optimizer
    rates = {
        group: optimizer_lib.learning_rate_schedule(
            options.learning_rate * multiplier,
            minimum=options.minimum_learning_rate,
            warmup_steps=steps_per_epoch * config.warmup_epochs,
            total_steps=steps_per_epoch * config.epochs,
        )
        for group, multiplier in (
            (optimizer_lib.BASE, 1.0),
            (optimizer_lib.NEW, options.new_multiplier),
        )
    }
    optimizer = optimizer_lib.build_optimizer(
        {path: group for path, group in groups.items() if group != optimizer_lib.FROZEN},
        rates,
        weight_decay=options.weight_decay,
        beta1=options.beta1,
        beta2=options.beta2,
        epsilon=options.epsilon,
        clip_norm=options.clip_norm,
    )
    return optimizer, rates


def make_loss(
    config: ConfigDict, action_clips: np.ndarray, num_clips: int, *, logit_scale: float
) -> tuple[Loss, str]:
    """The loss that `config.loss` names, and how its values become that of a batch.

    Args:
        action_clips: (actions,) training clips of each action.
        num_clips: training clips.
        logit_scale: the factor of the model's logits, which is not trained.

    Returns:
        the loss of clips, and "mean" or "sum".
    """
    loss = losses.build(
        config.loss,
        positives=action_clips,
        num_clips=num_clips,
        logit_scale=logit_scale,
        distribution_balanced_bias=config.distribution_balanced_bias,
    )
    return loss, losses.REDUCTIONS[config.loss]


def step_settings(config: ConfigDict) -> StepSettings:
    """What the training step does to a batch, from the configuration."""
    return StepSettings(
        accumulation=config.accumulation,
        mean=tuple(config.data.mean),
        std=tuple(config.data.std),
        animal_source=config.animals.source,
        label_dropout=config.animals.label_dropout,
        otherwise=config.animals.otherwise,
        ema_decay=config.optimizer.ema_decay,
        **config.augmentation,
    )


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

    All processes call it.

    Args:
        values: all parameters of the model by path.
        train_index: the clips that are trained on.
        say: is given what a person should know about it.
        track: see `features.encode_classes`.

    Raises:
        UserError: a description file or a relation is missing or does not fit the labels.
    """
    if config.model.family == "xclip":
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
    architecture = model_description(config.model).architecture
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
