"""From a configuration to what it describes: model, parameters, optimizer, loss, classes."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.classes import context, features, relation_graph
from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_clip import AnimalCLIP
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.attention import XLA, Attention
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.description import ModelDescription, build
from animal_clip_jax.models.normalisation import Normalisation
from animal_clip_jax.models.parameters import Parameters
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
    model = build(
        model_description(config),
        drop_path_rate=config.drop_path_rate,
        remat=config.remat,
        attention=attention,
        refinement=config.refinement,
        dtype=jnp.dtype(config.dtype),
        rngs=rngs,
    )
    assert isinstance(model, AnimalCLIP | XCLIP)
    return model


def abstract_model(
    config: ConfigDict, attention: Attention = XLA
) -> tuple[nnx.GraphDef, Parameters]:
    """Structure and parameter shapes of the model that `config.model` describes.

    Args:
        attention: as for `build_model`.
    """
    return parameters.abstract(
        lambda: build_model(config, attention=attention, rngs=parameters.rngs_for_shapes())
    )


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

    def initialise(key: jax.Array) -> Parameters:
        return parameters.split(build_model(config.model, rngs=nnx.Rngs(key)))[1]

    return jax.jit(initialise)(jax.random.key(config.seed))


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
    return context.class_context(
        context.text_tower(architecture, values),
        on_all(class_texts, config, info.action_names, animal_names),
        relation,
        pooling=config.prompts.pooling,
        cache=config.prompts.cache,
        mesh=mesh,
        say=say,
        track=track,
    )


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
