"""What fields of a configuration say together that cannot be."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.animal_sources import RECOGNISED
from animal_clip_jax.models.description import CLASSIFIERS, HAVE_DEPTH
from animal_clip_jax.models.presets import PRESETS
from animal_clip_jax.parallel.mesh import AXES
from animal_clip_jax.run import assembly
from animal_clip_jax.run.fields import FIELDS, is_dimension, nested
from animal_clip_jax.run.schema import is_expected

Flat = Mapping[str, Any]
# The fields, and what is wrong with them together: "" if nothing.
_Rule = tuple[tuple[str, ...], Callable[[Flat], str]]


def in_training(flat: Flat) -> list[str]:
    """What is wrong with a configuration to train with.

    Args:
        flat: its leaves by dotted name. Where one by itself is not as expected, what it says with
            others is passed over.
    """
    return _found(flat, _IN_TRAINING)


def in_use(flat: Flat) -> list[str]:
    """What is wrong with a configuration to evaluate or predict with; as `in_training`."""
    return _found(flat, _IN_USE)


def _found(flat: Flat, rules: Iterable[_Rule]) -> list[str]:
    right = {name for name, value in flat.items() if name in FIELDS and is_expected(name, value)}
    problems = (check(flat) for names, check in rules if right.issuperset(names))
    return [problem for problem in problems if problem]


def _warm_up(flat: Flat) -> str:
    if flat["warmup_epochs"] <= flat["epochs"] or not flat["epochs"]:
        return ""
    return (
        f"config.warmup_epochs is {flat['warmup_epochs']}; expected at most config.epochs, which "
        f"is {flat['epochs']}"
    )


def _micro_batches(flat: Flat) -> str:
    # 0 of either is for the data to say.
    if not flat["accumulation"] or flat["batch_size"] % flat["accumulation"] == 0:
        return ""
    return (
        f"config.batch_size {flat['batch_size']} is not a multiple of config.accumulation "
        f"{flat['accumulation']}"
    )


def _mixing(name: str) -> Callable[[Flat], str]:
    def check(flat: Flat) -> str:
        if flat[name] > 0 or not flat["augmentation.mix"]:
            return ""
        return (
            f"config.{name} is {flat[name]}; expected more than 0, or config.augmentation.mix=False"
        )

    return check


def _validation(flat: Flat) -> str:
    split, share = flat["data.validation_split"], flat["data.validation_share"]
    if not (split and share):
        return ""
    return (
        f"config.data.validation_split is {split!r} and config.data.validation_share {share}; give "
        "one of them"
    )


def _inheritance(flat: Flat) -> str:
    taxonomy, min_clips = flat["relation.taxonomy"], flat["relation.min_clips"]
    if bool(taxonomy) == bool(min_clips):
        return ""
    return (
        f"config.relation.min_clips is {min_clips} and config.relation.taxonomy {taxonomy!r}; "
        "animals inherit the actions of their class only with both, a number above 0 and a file"
    )


def _one_recognised(flat: Flat) -> str:
    sources = {flat["animals.source"], flat["animals.otherwise"]}
    if not (sources >= set(RECOGNISED) and flat["animals.label_dropout"] > 0):
        return ""
    return (
        f"config.animals.source is {flat['animals.source']!r} and config.animals.otherwise "
        f"{flat['animals.otherwise']!r}; a run trains on one recognised source, beside 'labels' "
        "or 'none'"
    )


def _recogniser(flat: Flat, sources: set[str]) -> str:
    needed = sorted(sources & set(RECOGNISED))
    if not needed or flat["animals.weights"] or flat["init_from"]:
        return ""
    return (
        f"{' and '.join(map(repr, needed))} as a source of animals needs pretrained weights: set "
        "config.animals.weights to a folder written by `animal-clip convert`, such as BioCLIP's, "
        "or config.init_from, whose CLIP towers then recognise the animals"
    )


def _recogniser_in_training(flat: Flat) -> str:
    told_by = {flat["animals.source"]}
    if flat["animals.label_dropout"] > 0:
        told_by.add(flat["animals.otherwise"])
    return _recogniser(flat, told_by | set(flat["evaluation.animal_sources"]))


def _recogniser_in_use(flat: Flat) -> str:
    return _recogniser(flat, set(flat["evaluation.animal_sources"]))


def _refinement(flat: Flat) -> str:
    family = flat["model.family"]
    departures = [
        name
        for name in ("model.refinement", *_PARTS_OF_REFINEMENT)
        if flat[name] != FIELDS[name].default
    ]
    if not departures:
        return ""
    said = " and ".join(f"config.{name} is {flat[name]!r}" for name in departures)
    if family != "animal_clip":
        return f"{said}; a model of family {family!r} has no refinement to change or leave out"
    if not flat["model.refinement"] and len(departures) > 1:
        return f"{said}; without refinement there is nothing more to say of it: leave one out"
    if flat["model.graph"] == "none" and not flat["model.adaptive_prompts"]:
        return f"{said}; a model without both is config.model.refinement=False"
    return ""


def _depth(flat: Flat) -> str:
    family = flat["model.family"]
    asked = [name for name, nothing in _OF_DEEP.items() if flat[name] not in nothing]
    if not asked or family in HAVE_DEPTH:
        return ""
    said = " and ".join(f"config.{name} is {flat[name]!r}" for name in asked)
    return f"{said}; that is of {', '.join(HAVE_DEPTH)}, not of a model of family {family!r}"


def _preset(flat: Flat) -> str:
    family, name = flat["model.family"], flat["model.preset"]
    if not name or name in PRESETS.get(family, ()):
        return ""
    if family in PRESETS:
        known = ", ".join(map(repr, PRESETS[family]))
        return f"config.model.preset is {name!r}; a model of family {family!r} has {known}"
    return (
        f"config.model.preset is {name!r}; a model of family {family!r} is of CLIP's towers, whose "
        "dimensions are config.model.architecture"
    )


def _dimensions(flat: Flat) -> str:
    family = flat["model.family"]
    asked = [name for name in _OPEN if flat[name] and not is_dimension(name, family)]
    if not asked or family not in PRESETS:
        return ""
    said = [f"config.{name} is {flat[name]!r}" for name in asked]
    if len(said) > _SHOWN:
        said[_SHOWN:] = [f"{len(said) - _SHOWN} more"]
    return (
        f"{' and '.join(said)}; a model of family {family!r} is not made of CLIP's towers, and its "
        "dimensions are config.model.preset: leave the others open"
    )


def _texts(flat: Flat) -> str:
    family = flat["model.family"]
    asked = [name for name in _TEXTS if flat[name] != "names"]
    if not asked or (family not in CLASSIFIERS and family != "video_prompt"):
        return ""
    said = " and ".join(f"config.{name} is {flat[name]!r}" for name in asked)
    reads = "no texts" if family in CLASSIFIERS else "the names of the actions alone"
    return f"{said}; a model of family {family!r} reads {reads}: leave it at 'names'"


def _mesh(flat: Flat) -> str:
    sizes = {axis: flat[f"mesh.{axis}"] for axis in AXES}
    if list(sizes.values()).count(-1) <= 1:
        return ""
    return f"config.mesh is {sizes}; expected at most one -1"


def _model(flat: Flat) -> str:
    family = flat["model.family"]
    if any(
        is_dimension(name, family) and not flat[name] for name in _OPEN if name != "model.preset"
    ):
        return ""  # the weights say it
    try:
        assembly.model_description(nested(flat).model)
    except UserError as error:
        return str(error)
    return ""


_PARTS_OF_REFINEMENT = (
    "model.graph",
    "model.adaptive_prompts",
    "model.unknown_animals",
    "model.gate",
)
_SHOWN = 3
_MODEL = tuple(name for name in FIELDS if name.startswith("model."))
_OPEN = tuple(name for name in _MODEL if FIELDS[name].accepts.is_open)
# With the values that ask for nothing.
_OF_DEEP = {"model.drop_path_rate": (0.0,), "model.remat": ("auto", "none")}
_TEXTS = ("prompts.actions", "prompts.animals")
_MESH = tuple(f"mesh.{axis}" for axis in AXES)
_TOLD_BY = ("animals.source", "animals.otherwise", "animals.label_dropout")
_RECOGNITION = ("evaluation.animal_sources", "animals.weights", "init_from")

_IN_TRAINING: tuple[_Rule, ...] = (
    (_MODEL, _model),
    (("model.family", "model.preset"), _preset),
    (("model.family", *_OPEN), _dimensions),
    (("model.family", *_OF_DEEP), _depth),
    (("model.family", *_TEXTS), _texts),
    (("model.family", "model.refinement", *_PARTS_OF_REFINEMENT), _refinement),
    (("data.validation_split", "data.validation_share"), _validation),
    (("relation.taxonomy", "relation.min_clips"), _inheritance),
    (_TOLD_BY, _one_recognised),
    ((*_RECOGNITION, *_TOLD_BY), _recogniser_in_training),
    (("augmentation.mix", "augmentation.mixup_alpha"), _mixing("augmentation.mixup_alpha")),
    (("augmentation.mix", "augmentation.cutmix_alpha"), _mixing("augmentation.cutmix_alpha")),
    (("warmup_epochs", "epochs"), _warm_up),
    (("batch_size", "accumulation"), _micro_batches),
    (_MESH, _mesh),
)
_IN_USE: tuple[_Rule, ...] = ((_RECOGNITION, _recogniser_in_use), (_MESH, _mesh))
