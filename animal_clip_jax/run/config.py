"""What a run's configuration may hold, and how two configurations of one run may differ.

A configuration is `configs/default.py` with some fields changed. Outside `run`, and the commands
above it, nothing reads one.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from animal_clip_jax.classes import features
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import absolute, as_path
from animal_clip_jax.models.animal_sources import (
    RECOGNISED,
    SOURCES,
    check_source,
)
from animal_clip_jax.run import assembly
from animal_clip_jax.training import losses
from data_pipeline.dataset import DatasetInfo

# Fields that a run made before they existed lacks, with the values under which it behaves as it
# did then. A field that is added to configs/default.py is added here too.
VALUES_OF_OLDER_RUNS: Mapping[str, Any] = {
    "data.validation_split": "",
    "data.validation_share": 0.0,
    "checkpoint.select_best_on": "test_as_published",
    "distribution_balanced_bias": "paper",
    "evaluation.scores": "softmax",
}

# What may differ between training and the evaluation or use of its result: which data it is tested
# on, how it is looked at, where the animals come from, and on what devices. All else is part of
# the trained model, and a configuration that contradicts it is refused.
FREE_WHEN_TRAINED = (
    "init_from",  # of which only the towers that may recognise animals are still looked at
    "data.directory",
    "data.train_split",
    "data.test_split",
    "data.validation_split",
    "data.num_actions",
    "data.num_animals",
    "data.num_workers",
    "evaluation.",
    "predict.",
    "animals.weights",
    "animals.num_frames",
    "animals.prompts",
    "animals.temperature",
    "animals.top_k",
    "animals.head_l2",
    "mesh.",
    "model.remat",
    "checkpoint.",
    "log_every_steps",
    "profile",
    "prompts.cache",
)
# With other actions and animals than the training's, their texts may come from elsewhere too.
FREE_WITH_OTHER_LABELS = ("prompts.actions", "prompts.animals", "relation.file")
# What may differ when a training goes on: none of it changes what the steps compute.
FREE_WHEN_RESUMING = (
    "checkpoint.",
    "evaluation.",
    "log_every_steps",
    "mesh.",
    "predict.",
    "profile",
    "data.num_workers",
    "prompts.cache",
)
# Files and folders that a run is made from. Where they lie does not matter, see `run.inputs`.
INPUT_FIELDS = (
    "data.directory",
    "init_from",
    "animals.weights",
    "animals.prompts",
    "prompts.actions",
    "prompts.animals",
    "relation.file",
    "relation.taxonomy",
)
NAMED_TEXTS = ("names", "templates")
SELECTIONS = ("validation", "test_as_published")
SCORES = ("as_trained", "softmax")

_AT_LEAST_ONE = (
    "epochs",
    "batch_size",
    "accumulation",
    "log_every_steps",
    "checkpoint.every_epochs",
    "checkpoint.keep",
    "evaluation.every_epochs",
    "evaluation.batch_size",
    "evaluation.temporal_views",
    "animals.num_frames",
)
_BELOW_ONE = (
    "optimizer.ema_decay",
    "optimizer.beta1",
    "optimizer.beta2",
    "data.validation_share",
    "model.drop_path_rate",
)


def flat_config(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """The leaves of a configuration by dotted name; sequences are tuples."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            flat.update(flat_config(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = tuple(value) if isinstance(value, list) else value
    return flat


def complete(recorded: Mapping[str, Any]) -> ConfigDict:
    """The configuration that a run recorded, as one of this version.

    Args:
        recorded: nested dictionaries, as JSON holds them.

    Returns:
        with `VALUES_OF_OLDER_RUNS` for the fields that it lacks.
    """
    config = ConfigDict(_with_tuples(recorded))
    held = flat_config(config)
    for name, value in VALUES_OF_OLDER_RUNS.items():
        if name not in held:
            *parents, leaf = name.split(".")
            branch = config
            for parent in parents:
                branch = branch[parent]
            branch[leaf] = value
    return config


def _with_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_tuples(inner) for name, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value


def with_absolute_paths(config: ConfigDict) -> ConfigDict:
    """A copy in which every file and folder that the run is made from has its whole path."""
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.update_from_flattened_dict(
            {name: str(absolute(path)) for name, path in input_paths(config).items()}
        )
    return config


def input_paths(config: ConfigDict) -> dict[str, str]:
    """The files and folders that a configuration names, by field."""
    flat = flat_config(config)
    return {
        name: flat[name] for name in INPUT_FIELDS if flat[name] and flat[name] not in NAMED_TEXTS
    }


def differences(
    ours: ConfigDict, theirs: ConfigDict, *, free: Iterable[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configurations differ: {name: (ours, theirs)}.

    Args:
        free: names, or beginnings that end in a dot, of fields that may.
    """
    free = tuple(free)
    first, second = flat_config(ours), flat_config(theirs)
    return {
        name: (first.get(name, "absent"), second.get(name, "absent"))
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name) and not is_among(name, free)
    }


def is_among(name: str, fields: Iterable[str]) -> bool:
    """Whether a field is one of `fields`: names, or beginnings that end in a dot."""
    return any(name.startswith(field) if field.endswith(".") else name == field for field in fields)


def check_use(given: ConfigDict, trained: ConfigDict) -> None:
    """Refuses to evaluate or use a model in another way than it was trained.

    Args:
        given: the configuration to evaluate or predict with.
        trained: the run's own; both with absolute paths.

    Raises:
        UserError: names the fields that contradict each other.
    """
    free: tuple[str, ...] = FREE_WHEN_TRAINED
    has_other_labels = (
        given.evaluation.open_vocabulary
        or given.predict.action_labels
        or given.predict.animal_labels
    )
    if has_other_labels:
        free += FREE_WITH_OTHER_LABELS
    found = differences(given, trained, free=free)
    if found:
        fields = "; ".join(
            f"{name} (trained with {theirs!r}, now {ours!r})"
            for name, (ours, theirs) in found.items()
        )
        raise UserError(
            f"config contradicts what was trained: {fields}. Leave --config and these flags out: "
            "the run knows its own"
        )


def check_fields(config: ConfigDict) -> None:
    """Checks the fields by themselves and against each other; reads no file.

    Raises:
        UserError: the message names the field.
    """
    assembly.check_model(config.model)
    flat = flat_config(config)
    choices = {
        "loss": tuple(losses.REDUCTIONS),
        "distribution_balanced_bias": ("paper", "code"),
        "prompts.pooling": features.POOLINGS,
        "checkpoint.select_best_on": SELECTIONS,
        "evaluation.scores": SCORES,
        "evaluation.crops": (1, 3),
    }
    for name, allowed in choices.items():
        if flat[name] not in allowed:
            raise UserError(
                f"config.{name} is {flat[name]!r}; expected one of {', '.join(map(str, allowed))}"
            )
    which = str(config.evaluation.checkpoint)
    if which not in ("latest", "best") and not which.isdecimal():
        raise UserError(
            f"config.evaluation.checkpoint is {which!r}; expected 'latest', 'best' or a step"
        )
    for name in _AT_LEAST_ONE:
        if flat[name] < 1:
            raise UserError(f"config.{name} is {flat[name]}; expected at least 1")
    for name in _BELOW_ONE:
        if not 0 <= flat[name] < 1:
            raise UserError(f"config.{name} is {flat[name]}; expected 0 ≤ {name} < 1")
    for name in ("data.mean", "data.std"):
        if len(flat[name]) != 3 or (name == "data.std" and not min(flat[name]) > 0):
            above = " above 0" if name == "data.std" else ""
            raise UserError(
                f"config.{name} is {flat[name]}; expected three numbers{above}, for red, green "
                "and blue"
            )
    if not 0 <= config.warmup_epochs <= config.epochs:
        raise UserError(
            f"config.warmup_epochs is {config.warmup_epochs}; expected 0 to config.epochs, which "
            f"is {config.epochs}"
        )
    if config.augmentation.mix:
        for name in ("mixup_alpha", "cutmix_alpha"):
            if not config.augmentation[name] > 0:
                raise UserError(
                    f"config.augmentation.{name} is {config.augmentation[name]}; expected more "
                    "than 0, or config.augmentation.mix=False"
                )
    if config.data.validation_split and config.data.validation_share:
        raise UserError(
            f"config.data.validation_split is {config.data.validation_split!r} and "
            f"config.data.validation_share {config.data.validation_share}; give one of them"
        )
    _check_animals(config)
    check_relation(config)


def check_relation(config: ConfigDict) -> None:
    """Raises UserError unless the fields of `config.relation` fit each other."""
    options = config.relation
    if options.min_clips < 0:
        raise UserError(f"config.relation.min_clips is {options.min_clips}; expected 0 or more")
    if bool(options.taxonomy) != bool(options.min_clips):
        raise UserError(
            f"config.relation.min_clips is {options.min_clips} and config.relation.taxonomy "
            f"{options.taxonomy!r}; animals inherit the actions of their class only with both, a "
            "number above 0 and a file"
        )


def _check_animals(config: ConfigDict) -> None:
    """Checks `config.animals` and the sources that are evaluated."""
    options = config.animals
    if not config.evaluation.animal_sources:
        raise UserError("config.evaluation.animal_sources is empty; expected at least one source")
    fields = [("animals.source", options.source), ("animals.otherwise", options.otherwise)]
    fields += [("evaluation.animal_sources", name) for name in config.evaluation.animal_sources]
    for field, source in fields:
        check_source(f"config.{field}", source)
    if {options.source, options.otherwise} >= set(RECOGNISED) and options.label_dropout > 0:
        raise UserError(
            f"config.animals.source is {options.source!r} and config.animals.otherwise "
            f"{options.otherwise!r}; a run trains on one recognised source, beside 'labels' or "
            "'none'"
        )
    if not 0 <= options.label_dropout <= 1:
        raise UserError(f"config.animals.label_dropout is {options.label_dropout}; expected 0 to 1")
    check_recognition(config)
    if recognised_sources(config) and not (options.weights or config.init_from):
        raise UserError(
            f"{' and '.join(map(repr, sorted(recognised_sources(config))))} as a source of animals "
            "needs pretrained weights: set config.animals.weights to a folder written by "
            "`animal-clip convert`, such as BioCLIP's, or config.init_from, whose "
            "CLIP towers then recognise the animals"
        )


def check_recognition(config: ConfigDict) -> None:
    """Checks how animals are to be recognised, and how many labels a prediction is to show.

    Raises:
        UserError: a field of `config.animals` or `config.predict` has no meaning; names it.
    """
    options = config.animals
    if options.num_frames < 1:
        raise UserError(f"config.animals.num_frames is {options.num_frames}; expected at least 1")
    if options.top_k < 0:
        raise UserError(f"config.animals.top_k is {options.top_k}; expected 0 (all) or more")
    for name in ("temperature", "head_l2"):
        if not options[name] > 0:
            raise UserError(f"config.animals.{name} is {options[name]}; expected more than 0")
    if config.predict.top_k < 1:
        raise UserError(f"config.predict.top_k is {config.predict.top_k}; expected at least 1")
    if config.predict.source:
        check_source("config.predict.source", config.predict.source, (*RECOGNISED, "none"))


def recognised_sources(config: ConfigDict) -> set[str]:
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


def source_without_labels(config: ConfigDict) -> str:
    """Where an unlabelled video's animals come from: `predict.source`, else the first source that
    the run is evaluated with and that needs no labels, else "none"."""
    sources = (config.predict.source, *config.evaluation.animal_sources, "none")
    return next(source for source in sources if source and source in set(SOURCES) - {"labels"})


def check_data(config: ConfigDict, info: DatasetInfo, *, is_trained_on: bool = True) -> None:
    """Checks the configuration against the data set.

    Args:
        is_trained_on: False for data that is only tested on, whatever its labels.

    Raises:
        UserError: the message names the field and the folder.
    """
    directory = config.data.directory
    for field, names in (("num_actions", info.action_names), ("num_animals", info.animal_names)):
        expected = config.data[field]
        if expected and expected != len(names) and is_trained_on:
            raise UserError(
                f"config.data.{field} is {expected}, but {directory} has {len(names)}: another "
                "data set, or another label file"
            )
    fields = ["test_split"]
    if is_trained_on:
        fields = ["train_split", "test_split"]
        if config.data.validation_split:
            fields.append("validation_split")
    for field in fields:
        if config.data[field] not in info.split_sizes:
            raise UserError(
                f"config.data.{field} is {config.data[field]!r}, but {directory} has "
                f"{', '.join(sorted(info.split_sizes))}"
            )


def check_directory(config: ConfigDict) -> None:
    """Raises UserError unless `config.data.directory` names a folder that is there."""
    if not config.data.directory:
        raise UserError(
            "config.data.directory is empty; give a folder written by `animal-clip convert-videos`"
        )
    if not as_path(config.data.directory).is_dir():
        raise MissingFileError(
            f"config.data.directory: the dataset folder {config.data.directory} does not exist; "
            "make it with `animal-clip convert-videos`",
            config.data.directory,
        )


@dataclasses.dataclass(frozen=True)
class Selection:
    """How the best checkpoint is chosen.

    Attributes:
        on: "validation", "test_as_published" or "none".
        split: the split whose clips decide; None for "none".
    """

    on: str
    split: str | None


def selection(config: ConfigDict) -> Selection:
    """How a run chooses its best checkpoint.

    On the validation split alone; without one there is no best checkpoint. On the test split, as
    the published system does, only if `checkpoint.select_best_on` says so.
    """
    if config.checkpoint.select_best_on == "test_as_published":
        return Selection("test_as_published", config.data.test_split)
    if config.data.validation_split:
        return Selection("validation", config.data.validation_split)
    if config.data.validation_share:
        return Selection("validation", config.data.train_split)
    return Selection("none", None)
