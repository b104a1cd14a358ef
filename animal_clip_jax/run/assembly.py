"""From a configuration to what it describes: model, parameters, optimizer, loss."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.attention import RECOMPUTED, XLA, Attention
from animal_clip_jax.models.description import (
    CLASSIFIERS,
    ModelDescription,
    build,
    fields_of,
)
from animal_clip_jax.models.normalisation import Normalisation
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.models.presets import PRESETS, PresetArchitecture, preset
from animal_clip_jax.models.refinement_options import NO_REFINEMENT, RefinementOptions
from animal_clip_jax.models.video_prompt import TEMPERATURE
from animal_clip_jax.run import schema
from animal_clip_jax.training import losses
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.losses import Loss
from animal_clip_jax.training.step import StepSettings


def model_description(config: ConfigDict) -> ModelDescription:
    """The family and dimensions that `config.model` asks for.

    Args:
        config: the field `model` of a run's configuration, with nothing left open (`run.start`).

    Raises:
        UserError: a field has no meaning; the message names it.
    """
    schema.refuse(schema.problems_of_values({"model": config}))
    family = config.family
    architecture: ClipArchitecture | PresetArchitecture
    dimensions: dict[str, Any]
    try:
        if family in PRESETS:
            architecture = preset(
                family,
                config.preset,
                num_frames=config.num_frames,
                image_size=config.architecture.image_size,
            )
            dimensions = {"num_frames": architecture.num_frames}
        else:
            architecture = ClipArchitecture(**config.architecture)
            heads = heads_of(architecture.embed_dim)
            dimensions = {"integration_heads": heads, "prompt_heads": heads, **config}
        values = {name: dimensions.get(name) for name in fields_of(family)}
        if family in CLASSIFIERS:
            values["num_classes"] = config.num_classes or None
        return ModelDescription(family, architecture, **values)
    except ValueError as error:
        raise UserError(f"config.model: {error}") from error


def build_model(config: ConfigDict, *, attention: Attention = XLA, rngs: nnx.Rngs) -> nnx.Module:
    """The model that `config.model` describes, with random parameters.

    Args:
        attention: see `run.attention`; which it is depends on the devices.

    Raises:
        UserError: see `model_description`.
    """
    return _Arguments.of(config, attention).build(rngs)


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


def remat_policy(config: ConfigDict, attention: Attention) -> str:
    """What the backward pass of a model computes again, a key of `REMAT_POLICIES`.

    Args:
        config: the field `model` of a configuration.
        attention: the program of its attention, which says whether it is for processors.
    """
    if config.remat != "auto":
        return config.remat
    return "dots" if attention == RECOMPUTED else "none"


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
        description = model_description(config)
        if description.family in CLASSIFIERS and description.num_classes is None:
            raise UserError(
                f"config.model.num_classes is 0, and no data says how many actions a model of "
                f"family {description.family!r} is to tell apart; give config.data.num_actions"
            )
        return cls(
            description,
            drop_path_rate=config.drop_path_rate,
            remat=remat_policy(config, attention),
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
    rngs = parameters.rngs_for_values(jax.random.key(config.seed))
    return parameters.split(_Arguments.of(config.model, XLA).build(rngs))[1]


def parameter_groups(config: ConfigDict, paths: Iterable[str]) -> dict[str, str]:
    """The optimizer group of every parameter of the model that `config.model` describes."""
    return optimizer_lib.parameter_groups(
        paths, family=config.family, refinement=refinement(config)
    )


def logit_factor(config: ConfigDict, values: Parameters) -> float:
    """What cosines are multiplied by to become the logits of the model that `config.model`
    describes; 1 where they are no cosines.

    Args:
        values: the parameters that are not trained.
    """
    if config.family in CLASSIFIERS:
        return 1.0
    if config.family == "video_prompt":
        return 1 / TEMPERATURE
    # Computed on the device: the host keeps no view of a state that the steps give up.
    return float(jnp.exp(values["logit_scale"]))


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
        {
            path: group
            for path, group in groups.items()
            if group not in (optimizer_lib.FROZEN, optimizer_lib.STATISTIC)
        },
        rates,
        weight_decay=options.weight_decay,
        beta1=options.beta1,
        beta2=options.beta2,
        epsilon=options.epsilon,
        clip_norm=options.clip_norm,
        algorithm=options.name,
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
