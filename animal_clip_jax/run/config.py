"""What a run's configuration may hold, and how two configurations of one run may differ.

A configuration is `run.fields` with some values changed. Outside `run`, and the commands above it,
nothing reads one.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import absolute, as_path
from animal_clip_jax.models.animal_sources import RECOGNISED, SOURCES, recognised_of
from animal_clip_jax.run import contradictions, schema
from animal_clip_jax.run.fields import FIELDS, NO_VALUE
from animal_clip_jax.run.schema import flat_config
from data_pipeline.clip_index import split_names
from data_pipeline.dataset import DatasetInfo

# Fields that a run made before they existed lacks, with the values under which it behaves as it
# did then.
VALUES_OF_OLDER_RUNS: Mapping[str, Any] = {
    name: field.older for name, field in FIELDS.items() if field.older is not NO_VALUE
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
    "model.attention",
    "checkpoint.",
    "log_every_steps",
    "profile",
    "prompts.cache",
)
# With other actions and animals than the training's, their texts may come from elsewhere too.
FREE_WITH_OTHER_LABELS = (
    "prompts.actions",
    "prompts.animals",
    "relation.file",
    "relation.similarity",
)
# What may differ when a training goes on: none of it changes what the steps compute.
FREE_WHEN_RESUMING = (
    "checkpoint.",
    "evaluation.",
    "log_every_steps",
    "mesh.",
    "model.attention",
    "model.remat",
    "predict.",
    "profile",
    "data.num_workers",
    "prompts.cache",
)
# Files and folders that a run is made from. Where they lie does not matter, see `run.inputs`.
INPUT_FIELDS = tuple(name for name, field in FIELDS.items() if field.is_input)
NAMED_TEXTS = ("names", "templates")


def complete(recorded: Mapping[str, Any]) -> ConfigDict:
    """The configuration that a run recorded, as one of this version.

    Args:
        recorded: nested dictionaries, as JSON holds them.

    Returns:
        with `VALUES_OF_OLDER_RUNS` for the fields that it lacks.

    Raises:
        UserError: as `schema.conformed`.
    """
    return schema.conformed(recorded, is_older=True)


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
        if not is_same(first.get(name), second.get(name)) and not is_among(name, free)
    }


def is_same(value: Any, other: Any) -> bool:
    """Whether two values of a field are equal; NaN is equal to itself."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        return len(value) == len(other) and all(map(is_same, value, other))
    return value == other or (value != value and other != other)


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


def problems_in_training(config: ConfigDict) -> list[str]:
    """What is wrong with a configuration to train with: fields, and what several say together.

    Reads no file. What the configuration leaves open is passed over.
    """
    problems = schema.problems_of_names(config) + schema.problems_of_values(config)
    return problems + contradictions.in_training(flat_config(config))


def problems_in_use(config: ConfigDict) -> list[str]:
    """What is wrong with a configuration to evaluate or predict with.

    Of its fields, `FREE_WHEN_TRAINED` are looked at. The others are as they were in training, which
    is not judged again.
    """
    free = (*FREE_WHEN_TRAINED, *FREE_WITH_OTHER_LABELS)
    problems = schema.problems_of_names(config)
    problems += schema.problems_of_values(config, lambda name: is_among(name, free))
    return problems + contradictions.in_use(flat_config(config))


def check_fields(config: ConfigDict) -> None:
    """Raises UserError, with all of `problems_in_training`, if there are any."""
    schema.refuse(problems_in_training(config))


def check_fields_of_use(config: ConfigDict) -> None:
    """Raises UserError, with all of `problems_in_use`, if there are any."""
    schema.refuse(problems_in_use(config))


def recognised_sources(config: ConfigDict) -> tuple[str, ...]:
    """The recognised sources that a run trains or evaluates with."""
    options = config.animals
    used = {options.source, *config.evaluation.animal_sources}
    if options.label_dropout > 0:
        used.add(options.otherwise)
    return recognised_of(used)


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
        asked = config.data[field]
        # Several may be tested together; what is trained on is one.
        splits = split_names(asked) if field == "test_split" else [asked]
        if missing := [split for split in splits if split not in info.split_sizes]:
            raise UserError(
                f"config.data.{field} is {asked!r}, but {directory} has "
                f"{', '.join(sorted(info.split_sizes))}; name one of them, or convert the videos "
                "again with --test_share=0.2, which makes splits where there are none"
                + (f" ({missing[0]!r} is none of them)" if len(splits) > 1 else "")
            )
        if empty := [split for split in splits if not info.split_sizes[split]]:
            raise UserError(
                f"config.data.{field} is {asked!r}, and the split {empty[0]!r} of {directory} has "
                "no clips; leave it out, or convert videos for it"
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
