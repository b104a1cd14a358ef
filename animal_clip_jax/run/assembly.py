"""What a run needs before its first step: a checked configuration, parameters, class context."""

import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.classes import context, features
from animal_clip_jax.classes import relation_graph as relations
from animal_clip_jax.conversion import weights
from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_clip import AnimalCLIP
from animal_clip_jax.models.animal_sources import RECOGNISED, check_source
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.classes import ClassContext
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.description import build as build_described
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.models.video import REMAT_POLICIES
from animal_clip_jax.models.xclip import XCLIP
from animal_clip_jax.parallel.distributed import on_all
from animal_clip_jax.run.animals import sources_in
from animal_clip_jax.training import losses
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.step import StepSettings
from data_pipeline.dataset import DatasetInfo, load_info

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def model_description(config: ConfigDict) -> ModelDescription:
    """The family and dimensions that `config.model` asks for.

    Args:
        config: the field `model` of a run's configuration.

    Raises:
        ValueError: a field has no meaning; the message names it.
    """
    if config.family not in ("animal_clip", "xclip"):
        raise ValueError(
            f"config.model.family is {config.family!r}; expected 'animal_clip' or 'xclip'"
        )
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
        raise ValueError(f"config.model: {error}") from error


def build_model(config: ConfigDict, *, rngs: nnx.Rngs) -> AnimalCLIP | XCLIP:
    """The model that `config.model` describes, with random parameters.

    Raises:
        ValueError: a field has no meaning; the message names it.
    """
    if config.dtype not in DTYPES:
        raise ValueError(
            f"config.model.dtype is {config.dtype!r}; expected one of {', '.join(DTYPES)}"
        )
    if not 0 <= config.drop_path_rate < 1:
        raise ValueError(
            f"config.model.drop_path_rate is {config.drop_path_rate}; expected 0 ≤ rate < 1"
        )
    if config.remat not in REMAT_POLICIES:
        raise ValueError(
            f"config.model.remat is {config.remat!r}; expected one of {', '.join(REMAT_POLICIES)}"
        )
    if not config.refinement and config.family != "animal_clip":
        raise ValueError(
            f"config.model.refinement is False; a model of family {config.family!r} has none to "
            "leave out"
        )
    model = build_described(
        model_description(config),
        drop_path_rate=config.drop_path_rate,
        remat=config.remat,
        refinement=config.refinement,
        dtype=DTYPES[config.dtype],
        rngs=rngs,
    )
    assert isinstance(model, AnimalCLIP | XCLIP)
    return model


_AT_LEAST_ONE = (
    "epochs",
    "batch_size",
    "accumulation",
    "log_every_steps",
    "checkpoint.every_epochs",
    "checkpoint.keep",
    "evaluation.every_epochs",
    "evaluation.batch_size",
)
_BELOW_ONE = ("optimizer.ema_decay", "optimizer.beta1", "optimizer.beta2")

# What may differ when a run goes on: none of it changes what the steps compute.
_FREE_FIELDS = ("checkpoint.", "evaluation.", "log_every_steps", "mesh.", "predict.", "profile")
_FREE_LEAVES = ("data.num_workers", "prompts.cache")


def check_config(config: ConfigDict, *, is_open: bool = False) -> DatasetInfo:
    """Checks the fields against each other and against the data, before anything is computed.

    Args:
        is_open: the data is to be tested on with any labels, and needs no training split.

    Returns:
        the description of the data set at `config.data.directory`.

    Raises:
        FileNotFoundError, ValueError: the message names the field or the path.
    """
    model_description(config.model)
    if config.loss not in losses.REDUCTIONS:
        raise ValueError(
            f"config.loss is {config.loss!r}; expected one of {', '.join(losses.REDUCTIONS)}"
        )
    _check_animals(config)
    if config.prompts.pooling not in features.POOLINGS:
        raise ValueError(
            f"config.prompts.pooling is {config.prompts.pooling!r}; expected one of "
            f"{', '.join(features.POOLINGS)}"
        )
    flat = flat_config(config)
    for name in _AT_LEAST_ONE:
        if flat[name] < 1:
            raise ValueError(f"config.{name} is {flat[name]}; expected at least 1")
    for name in _BELOW_ONE:
        if not 0 <= flat[name] < 1:
            raise ValueError(f"config.{name} is {flat[name]}; expected 0 ≤ {name} < 1")
    if not config.data.directory:
        raise ValueError(
            "config.data.directory is empty; give a folder written by "
            "`python -m data_pipeline.convert`"
        )
    info = load_info(config.data.directory)
    for field, names in (("num_actions", info.action_names), ("num_animals", info.animal_names)):
        expected = config.data[field]
        if expected and expected != len(names) and not is_open:
            raise ValueError(
                f"config.data.{field} is {expected}, but {config.data.directory} has {len(names)}: "
                "another data set, or another label file"
            )
    for field in ("test_split",) if is_open else ("train_split", "test_split"):
        if config.data[field] not in info.split_sizes:
            raise ValueError(
                f"config.data.{field} is {config.data[field]!r}, but {config.data.directory} has "
                f"{', '.join(sorted(info.split_sizes))}"
            )
    return info


def _check_animals(config: ConfigDict) -> None:
    """Checks `config.animals` and the sources that are evaluated."""
    options = config.animals
    if not config.evaluation.animal_sources:
        raise ValueError("config.evaluation.animal_sources is empty; expected at least one source")
    fields = [("animals.source", options.source), ("animals.otherwise", options.otherwise)]
    fields += [("evaluation.animal_sources", name) for name in config.evaluation.animal_sources]
    for field, source in fields:
        check_source(f"config.{field}", source)
    if {options.source, options.otherwise} >= set(RECOGNISED) and options.label_dropout > 0:
        raise ValueError(
            f"config.animals.source is {options.source!r} and config.animals.otherwise "
            f"{options.otherwise!r}; a run trains on one recognised source, beside 'labels' or "
            "'none'"
        )
    if not 0 <= options.label_dropout <= 1:
        raise ValueError(
            f"config.animals.label_dropout is {options.label_dropout}; expected 0 to 1"
        )
    check_recognition(config)
    if sources_in(config) and not (options.weights or config.init_from):
        raise ValueError(
            f"{' and '.join(map(repr, sorted(sources_in(config))))} as a source of animals needs "
            "pretrained weights: set config.animals.weights to a folder written by "
            "`python -m animal_clip_jax.convert`, such as BioCLIP's, or config.init_from, whose "
            "CLIP towers then recognise the animals"
        )


def check_recognition(config: ConfigDict) -> None:
    """Checks how animals are to be recognised.

    Raises:
        ValueError: a field of `config.animals` has no meaning; names it.
    """
    options = config.animals
    if options.num_frames < 1:
        raise ValueError(f"config.animals.num_frames is {options.num_frames}; expected at least 1")
    if options.top_k < 0:
        raise ValueError(f"config.animals.top_k is {options.top_k}; expected 0 (all) or more")
    for name in ("temperature", "head_l2"):
        if not options[name] > 0:
            raise ValueError(f"config.animals.{name} is {options[name]}; expected more than 0")


def claim_workdir(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Records the configuration in a new workdir, or checks that an old one holds the same.

    Raises:
        ValueError: the workdir holds a run with another configuration; names the fields.
    """
    path = workdir / "config.json"
    ours = flat_config(config)
    if path.exists():
        try:
            theirs = flat_config(ConfigDict(json.loads(path.read_text(encoding="utf-8"))))
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        differences = [
            f"{name} (there {theirs.get(name, 'absent')!r}, now {ours.get(name, 'absent')!r})"
            for name in sorted(ours.keys() | theirs.keys())
            if not name.startswith(_FREE_FIELDS)
            and name not in _FREE_LEAVES
            and _plain(ours.get(name)) != _plain(theirs.get(name))
        ]
        if differences:
            raise ValueError(
                f"{workdir} holds a run with another configuration: {'; '.join(differences)}. "
                "Choose another --workdir, or give the same configuration to go on"
            )
        return
    workdir.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(config.to_dict(), indent=2), encoding="utf-8")
    temporary.replace(path)


def flat_config(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """The leaves of a configuration by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            flat.update(flat_config(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def git_revision() -> str:
    """The commit of this code, "" where it is not in a repository."""
    folder = pathlib.Path(__file__).parent
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return result.stdout.strip()


def initial_parameters(config: ConfigDict) -> tuple[nnx.GraphDef, Parameters]:
    """The model's structure, and its parameters from `config.init_from` or at random.

    Raises:
        FileNotFoundError, ValueError: the weights are missing, damaged, or of another model; the
            message names the path and the field.
    """
    if not config.init_from:

        def initialise(key: jax.Array) -> Parameters:
            return parameters.split(build_model(config.model, rngs=nnx.Rngs(key)))[1]

        graphdef, _ = parameters.abstract(
            lambda: build_model(config.model, rngs=nnx.Rngs(config.seed))
        )
        return graphdef, jax.jit(initialise)(jax.random.key(config.seed))

    values, metadata = weights.load_weights(config.init_from)
    wanted, found = model_description(config.model), metadata.model
    pairs = {**dataclasses.asdict(wanted), **dataclasses.asdict(wanted.architecture)}
    for name, expected in pairs.items():
        source = found.architecture if hasattr(found.architecture, name) else found
        held = getattr(source, name)
        if name != "architecture" and held != expected:
            field = "architecture." + name if source is found.architecture else name
            raise ValueError(
                f"{config.init_from}: the weights have {name} {held}, but "
                f"config.model.{field} asks for {expected}"
            )
    for name, expected in metadata.normalisation._asdict().items():
        if not np.allclose(config.data[name], expected, rtol=1e-4):
            raise ValueError(
                f"{config.init_from}: the weights expect pixels with {name} "
                f"{tuple(expected)}, but config.data.{name} is {tuple(config.data[name])}"
            )
    graphdef, abstract = parameters.abstract(
        lambda: build_model(config.model, rngs=nnx.Rngs(config.seed))
    )
    for path, target in abstract.items():
        shape = values[path].shape if path in values else "nothing"
        if shape != target.shape:
            raise ValueError(
                f"{config.init_from}: {path} has shape {shape}; expected {target.shape}"
            )
    return graphdef, values


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
    graphdef: nnx.GraphDef,
    values: Parameters,
    info: DatasetInfo,
    mesh: Mesh,
    say: Callable[[str], None],
) -> ClassContext:
    """Encodes the texts of all classes, and takes the relation that `config.relation` describes.

    All processes call it.

    Args:
        say: is given what a person should know about it.

    Raises:
        FileNotFoundError, ValueError: a description file or a relation is missing or does not fit
            the labels.
    """
    relation, origin = on_all(relations.relation_of, config, info)
    say(origin)
    return context.class_context(
        graphdef,
        values,
        info.action_names,
        info.animal_names,
        relation,
        prompts=config.prompts,
        mesh=mesh,
        say=say,
    )
