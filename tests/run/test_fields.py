"""Every field of the configuration: something changes where it acts, something else does not."""

import dataclasses
import functools
import json
import pathlib
import re
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
import tiny_run
from etils import epath
from first_step import FirstStep, first_step
from flax import nnx
from made_calibration import calibrated
from made_clips import convert_csv
from made_run import make_run
from ml_collections import ConfigDict

from animal_clip_jax.conversion import weights
from animal_clip_jax.digests import sealed
from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.predict import predict
from animal_clip_jax.models import parameters
from animal_clip_jax.models.normalisation import IMAGENET
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.run import assembly, run_classes
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.data import open_training_data
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.train import train
from animal_clip_jax.training.state import create_state
from animal_clip_jax.training.step import make_train_step
from configs import default
from data_pipeline.dataset import load_info

Observable = Callable[["Place", ConfigDict], Any]


def leaves(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """The fields of a configuration by dotted name."""
    found = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            found.update(leaves(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


class Place:
    """Where things are observed: data, weights, a run. What was observed once is kept.

    Attributes:
        paths: what the values of the table name, such as "{data}".
        seen: what observables gave, by their function and configuration.
    """

    def __init__(self, folder: pathlib.Path, paths: Mapping[str, pathlib.Path]):
        self.folder = folder
        self.paths = paths
        self.seen: dict[tuple, Any] = {}
        self._folders = 0

    def new_folder(self) -> pathlib.Path:
        self._folders += 1
        return self.folder / str(self._folders)

    def config(self, fields: Mapping[str, Any]) -> ConfigDict:
        """The configuration of the tests with some fields changed."""
        config = tiny_run.config_on(self.paths["data"])
        config.update_from_flattened_dict(
            {
                name: value.format(**self.paths) if isinstance(value, str) else value
                for name, value in fields.items()
            }
        )
        return config

    def look(self, observable: Observable, fields: Mapping[str, Any]) -> Any:
        """What an observable gives."""
        return observable(self, self.config(fields))


def once(observable: Observable) -> Observable:
    """The observable, which looks at a configuration once and then repeats what it saw."""

    @functools.wraps(observable)
    def kept(place: Place, config: ConfigDict, **arguments) -> Any:
        key = (observable, config.to_json(sort_keys=True), *sorted(arguments.items()))
        if key not in place.seen:
            place.seen[key] = observable(place, config, **arguments)
        return place.seen[key]

    return kept


# Observables. Each takes the place and a configuration, and gives something to compare.


@once
def reached(place: Place, config: ConfigDict) -> FirstStep:
    return first_step(config, place.new_folder())


def first_batch(place: Place, config: ConfigDict) -> dict[str, np.ndarray]:
    """What reaches the first step of a training."""
    return jax.tree.map(np.asarray, reached(place, config).batch)


def first_values(place: Place, config: ConfigDict) -> dict[str, np.ndarray]:
    """The parameters before the first step."""
    state = reached(place, config).state
    return jax.tree.map(np.asarray, {**state.trained, **state.frozen})


def training_clips(place: Place, config: ConfigDict) -> tuple[str, ...]:
    return open_training_data(config).train.index.clip_ids


def clips_of_test(place: Place, config: ConfigDict) -> tuple[str, ...]:
    return open_training_data(config).test.index.clip_ids


def validation_clips(place: Place, config: ConfigDict) -> tuple[str, ...]:
    validation = open_training_data(config).validation
    return () if validation is None else validation.index.clip_ids


def parameter_shapes(place: Place, config: ConfigDict) -> dict[str, tuple[int, ...]]:
    _, abstract = assembly.abstract_model(config.model)
    return {path: value.shape for path, value in abstract.items()}


def longest_name(place: Place, config: ConfigDict) -> int:
    """Of an action, in tokens, that a VideoPrompt can read."""
    return assembly.model_description(config.model).video_prompt.longest_name


@once
def logits(
    place: Place, config: ConfigDict, *, seed: int | None = None, is_told: bool = True
) -> np.ndarray:
    """Of two clips, by random parameters; with a seed as in training, where blocks may be
    dropped; told of their animals or not."""
    graphdef, abstract = assembly.abstract_model(config.model)
    size, width = config.model.architecture.image_size, config.model.architecture.embed_dim
    random = np.random.default_rng(0)
    pixels = random.normal(size=(2, config.model.num_frames, size, size, 3))
    classes = tiny.classes()._replace(
        action_features=random.normal(size=(tiny.ACTIONS, width)).astype(np.float32),
        animal_features=random.normal(size=(tiny.ANIMALS, width)).astype(np.float32),
    )
    animals = np.eye(tiny.ANIMALS, dtype=np.float32)[:2] * is_told
    key = {} if seed is None else {"key": jax.random.key(seed)}

    @jax.jit
    def score(values):
        model = parameters.merge(graphdef, values)
        return model(pixels.astype(np.float32), classes, animals, **key)

    return np.asarray(score(tiny.random_parameters(abstract)))


def training_logits(place: Place, config: ConfigDict) -> np.ndarray:
    return logits(place, config, seed=0)


def logits_of_nobody(place: Place, config: ConfigDict) -> np.ndarray:
    return logits(place, config, is_told=False)


def saved_for_backward(place: Place, config: ConfigDict) -> int:
    """How often the program says that something is to be computed again for the gradient."""
    graphdef, abstract = assembly.abstract_model(config.model)

    def total(values, pixels):
        model = parameters.merge(graphdef, values)
        return jnp.sum(model.encode_video(pixels))

    size = config.model.architecture.image_size
    pixels = jax.ShapeDtypeStruct((1, config.model.num_frames, size, size, 3), jnp.float32)
    return len(re.findall("remat|checkpoint", str(jax.make_jaxpr(total)(abstract, pixels))))


TINY_GROUPS = {"old.kernel": "base", "new.kernel": "new", "unreached.kernel": "decay_only"}


def rates(place: Place, config: ConfigDict) -> dict[str, list[float]]:
    """The learning rates of the first and the last steps of the base configuration's run."""
    _, schedules = assembly.make_optimizer(config, TINY_GROUPS, steps_per_epoch=3)
    return {
        group: [float(rate(step)) for step in (0, 1, 2, 3, 4, 5)]
        for group, rate in schedules.items()
    }


def updates(place: Place, config: ConfigDict) -> dict[str, np.ndarray]:
    """What four steps of the optimizer make of parameters, large gradients and small ones."""
    optimizer, _ = assembly.make_optimizer(config, TINY_GROUPS, steps_per_epoch=3)
    values = {path: jnp.full((2, 2), 3.0) for path in TINY_GROUPS}
    state = optimizer.init(values)
    for step in range(4):
        gradient = jnp.asarray([[1e-8, -2.0], [3.0 * step, 5.0]])
        changes, state = optimizer.update(dict.fromkeys(TINY_GROUPS, gradient), state, values)
        values = optax.apply_updates(values, changes)
    return jax.tree.map(np.asarray, values)


def without_gradient(place: Place, config: ConfigDict) -> np.ndarray:
    """What becomes of a parameter that no gradient reaches: decay alone."""
    return updates(place, config)["unreached.kernel"]


def loss_values(place: Place, config: ConfigDict) -> np.ndarray:
    """Of fixed logits, and how those of a batch are put together."""
    clips = np.array([40, 10, 5, 2, 1])
    loss, reduction = assembly.make_loss(config, clips, 58, logit_scale=2.0)
    found = loss(jnp.asarray(LOGITS), jnp.asarray(TARGETS))
    return np.asarray(found.sum() if reduction == "sum" else found.mean())


LOGITS = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
TARGETS = np.eye(5, dtype=np.float32)[[0, 1, 2, 3, 4, 0]]


class ColourModel(nnx.Module):
    """Scores actions by the colours of the picture's halves, and by the animals."""

    def __init__(self):
        normal = np.random.default_rng(0).standard_normal
        self.colours = nnx.Param(jnp.float32(normal((6, tiny.ACTIONS))))
        self.animals = nnx.Param(jnp.float32(normal((tiny.ANIMALS, tiny.ACTIONS))))

    def __call__(self, clips, classes, animal_weights, *, key):
        halves = clips.reshape(*clips.shape[:2], 2, -1, 3) ** 2
        colours = jnp.mean(halves, axis=(1, 3)).reshape(clips.shape[0], -1)
        return 0.3 * colours @ self.colours[...] + animal_weights @ self.animals[...]


@once
def one_step(place: Place, config: ConfigDict) -> tuple[dict, Any, Any]:
    """Metrics, averages and parameters after a step of a model of colours, from eight seeds."""
    graphdef, values = parameters.split(ColourModel())
    mesh = make_mesh(config.mesh)
    state, shardings = create_state(
        values,
        dict.fromkeys(values, "base"),
        optax.sgd(0.1),
        seed=0,
        mesh=mesh,
        with_averages=True,
    )
    loss, reduction = assembly.make_loss(config, np.ones(5), 5, logit_scale=1.0)
    step = make_train_step(
        graphdef,
        optax.sgd(0.1),
        loss,
        reduction=reduction,
        settings=assembly.step_settings(config),
        mesh=mesh,
        state_shardings=shardings,
    )
    batch = tiny.batch(8)
    batch["animal_weights"] = np.full_like(batch["animals"], 0.25)
    found = []
    before = jax.device_get(state)
    for seed in range(8):
        state = before._replace(rng=jax.random.PRNGKey(seed))
        after, metrics = step(state, batch, tiny.classes())
        found.append(jax.device_get((metrics, after.averaged, after.trained)))
    return jax.tree.map(lambda *values: np.stack(values), *found)


def step_loss(place: Place, config: ConfigDict) -> np.ndarray:
    return one_step(place, config)[0]["loss"]


def step_averages(place: Place, config: ConfigDict) -> dict[str, np.ndarray]:
    return one_step(place, config)[1]


def plain_step_loss(place: Place, config: ConfigDict) -> np.ndarray:
    """The loss of a step in which nothing is random."""
    config.update_from_flattened_dict(PLAIN)
    return one_step(place, config)[0]["loss"]


@once
def classes_of(place: Place, config: ConfigDict):
    data = open_training_data(config)
    _, abstract = assembly.abstract_model(config.model)
    values = tiny.random_parameters(
        {path: value for path, value in abstract.items() if path.startswith("text")}
    )
    return run_classes.class_context(
        config, values, data.info, data.train.index, make_mesh(config.mesh), lambda note: None
    )


def action_features(place: Place, config: ConfigDict) -> np.ndarray:
    return classes_of(place, config).action_features


def animal_features(place: Place, config: ConfigDict) -> np.ndarray:
    return classes_of(place, config).animal_features


def relation(place: Place, config: ConfigDict) -> np.ndarray:
    return classes_of(place, config).relation


def kept_features(place: Place, config: ConfigDict) -> int:
    """How many entries the folder has that a cache is asked for in, in the end."""
    classes_of(place, config)
    folder = pathlib.Path(place.paths["cache"])
    return len(list(folder.glob("*"))) if config.prompts.cache else 0


@once
def told_of(place: Place, config: ConfigDict, *, source: str) -> dict[str, np.ndarray]:
    data = open_training_data(config)
    recognition = AnimalRecognition(
        config,
        epath.Path(place.new_folder()),
        data.info.animal_names,
        make_mesh(config.mesh),
        train=data.train,
    )
    return recognition.weights(source, data.test)


def predicted(place: Place, config: ConfigDict) -> dict[str, np.ndarray]:
    """What the recogniser says of the test clips' animals by their names."""
    return told_of(place, config, source="predicted")


def learned(place: Place, config: ConfigDict) -> dict[str, np.ndarray]:
    """What its head says that learns them."""
    return told_of(place, config, source="learned")


def refusal(place: Place, config: ConfigDict) -> str:
    """Why a training cannot begin; "" if it can."""
    try:
        reached(place, config)
    except UserError as error:
        return str(error)
    return ""


@once
def evaluation(place: Place, config: ConfigDict) -> dict[str, Any]:
    """What an evaluation of the run writes, or why it does not."""
    copy = place.new_folder()
    shutil.copytree(place.paths["run"], copy)
    try:
        evaluate(copy, config)
    except UserError as error:
        return {"refused": str(error).replace(str(copy), "")}
    (path,) = copy.glob("evaluations/*/metrics.json")
    return json.loads(path.read_text())


def figures(place: Place, config: ConfigDict) -> dict[str, float]:
    return evaluation(place, config).get("metrics", {})


def sources(place: Place, config: ConfigDict) -> list[str]:
    """The sources that figures are given for."""
    return sorted({name.partition("/")[0] for name in figures(place, config)})


def figures_in_order(place: Place, config: ConfigDict) -> dict[str, float]:
    """Without those of shuffled frames."""
    return {name: value for name, value in figures(place, config).items() if "shuf" not in name}


def evaluated_step(place: Place, config: ConfigDict) -> int:
    return evaluation(place, config)["step"]


def evaluated_scores(place: Place, config: ConfigDict) -> str:
    """What becomes of logits in an evaluation; test_wiring.py has the scores themselves."""
    return assembly.scores(config)


def predicted_scores(place: Place, config: ConfigDict) -> str:
    return assembly.outputs(config)


@once
def printed(place: Place, config: ConfigDict) -> str:
    """The answer to a video, or why there is none."""
    try:
        return predict(place.paths["run"], config)
    except UserError as error:
        return str(error)


def printed_labels(place: Place, config: ConfigDict) -> list[str]:
    return sorted(line.split("%  ")[1] for line in printed(place, config).splitlines()[1:])


@once
def workdir_of(place: Place, config: ConfigDict) -> pathlib.Path:
    """A whole run."""
    workdir = place.new_folder()
    train(config, workdir)
    return workdir


def from_run(look: Callable[[pathlib.Path], Any]) -> Observable:
    """An observable of the folder of a whole run."""

    def observable(place: Place, config: ConfigDict) -> Any:
        return look(workdir_of(place, config))

    observable.__name__ = look.__name__
    return observable


def saved_steps(workdir: pathlib.Path) -> list[int]:
    return sorted(int(name) for name in tiny_run.saved_steps(workdir) if name.isdecimal())


def logged_steps(workdir: pathlib.Path) -> list[int]:
    return list(tiny_run.logged(workdir, "train"))


def judged_steps(workdir: pathlib.Path) -> list[int]:
    """The steps after which one view of the clips was scored."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if line.get("temporal_views") == 1]


def chosen_on(workdir: pathlib.Path) -> list[str]:
    """The steps by which the best is chosen."""
    path = workdir / "evaluated.json"
    return sorted(json.loads(path.read_text())) if path.exists() else []


def is_traced(workdir: pathlib.Path) -> bool:
    return any((workdir / "profile").rglob("*.xplane.pb"))


def logged_losses(workdir: pathlib.Path) -> float:
    """The loss of the last step."""
    return list(tiny_run.logged(workdir, "train").values())[-1]["loss"]


saved, logged, judged, chosen, traced, last_loss = map(
    from_run, (saved_steps, logged_steps, judged_steps, chosen_on, is_traced, logged_losses)
)

PLAIN = {
    "augmentation.jitter_probability": 0.0,
    "augmentation.grey_probability": 0.0,
    "augmentation.mix": False,
    "animals.label_dropout": 0.0,
}
X3D = {"model.family": "x3d", "model.preset": "tiny", "model.num_classes": 5}
VIDEO_PROMPT = {"model.family": "video_prompt", "model.architecture.context_length": 77}
EVL = {
    "model.family": "evl",
    "model.num_classes": 5,
    "model.architecture.vision_layers": 2,
    "model.decoder_layers": 1,
}
JITTERED = PLAIN | {"augmentation.jitter_probability": 1.0}
MIXED = PLAIN | {"augmentation.mix": True}
RECOGNISED = {"animals.weights": "{recogniser}"}
VIDEO = {"predict.video": "{video}"}
UNSHUFFLED = {"evaluation.shuffle_frames": False, "evaluation.temporal_views": 1}

WHOLE_RUN = PLAIN | {
    "model.refinement": False,  # quicker to compile, as what is plain is
    "epochs": 4,
    "evaluation.every_epochs": 1,
    "evaluation.temporal_views": 2,
    "evaluation.shuffle_frames": False,
    "evaluation.animal_sources": ("none",),
    "evaluation.batch_size": 80,
    "checkpoint.every_epochs": 1,
    "checkpoint.keep": 4,
    "log_every_steps": 1,
    "profile": False,
}
OTHER_WHOLE_RUN = WHOLE_RUN | {
    "evaluation.every_epochs": 3,
    "checkpoint.every_epochs": 2,
    "checkpoint.keep": 1,
    "checkpoint.select_best_on": "test_as_published",
    "log_every_steps": 5,
    "profile": True,
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A field, and where it is seen to act.

    Attributes:
        field, value: what is changed.
        changes: must be something else then; None for a field that changes nothing to see.
        keeps: must be the same.
        given: what else the configuration says, before and after.
        together: what is changed beside it, where a run is too long to have one for every field.
    """

    field: str
    value: Any
    changes: Observable | None
    keeps: Observable
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    together: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def whole(field: str, changes: Observable) -> Row:
    value = OTHER_WHOLE_RUN[field]
    return Row(field, value, changes, last_loss, WHOLE_RUN, OTHER_WHOLE_RUN)


def architecture(field: str, value: Any, changes: Observable = parameter_shapes) -> Row:
    return Row(f"model.architecture.{field}", value, changes, training_clips)


ROWS = [
    Row("seed", 3, first_batch, training_clips),
    Row("model.family", "xclip", parameter_shapes, training_clips),
    architecture("embed_dim", 128),
    architecture("image_size", 24),
    architecture("patch_size", 4),
    architecture("vision_width", 128),
    architecture("vision_layers", 2),
    architecture("vision_heads", 2),
    architecture("text_width", 128),
    architecture("text_layers", 2),
    architecture("text_heads", 2),
    architecture("context_length", 20),
    architecture("vocab_size", 50000),
    architecture("activation", "gelu", logits),
    Row("model.num_frames", 3, parameter_shapes, training_clips),
    Row("model.integration_layers", 2, parameter_shapes, training_clips),
    Row("model.prompt_layers", 2, parameter_shapes, training_clips),
    Row("model.graph_width", 32, parameter_shapes, training_clips),
    Row("model.preset", "tiny", parameter_shapes, training_clips, X3D | {"model.preset": "X3D-M"}),
    Row("model.num_classes", 7, parameter_shapes, training_clips, X3D),
    Row("model.prompt_prefix", 10, longest_name, parameter_shapes, VIDEO_PROMPT),
    Row("model.prompt_suffix", 10, longest_name, parameter_shapes, VIDEO_PROMPT),
    Row("model.decoder_layers", 2, parameter_shapes, training_clips, EVL),
    Row("model.refinement", False, logits, parameter_shapes),
    Row("model.graph", "averaged", logits, parameter_shapes),
    Row("model.adaptive_prompts", False, logits, parameter_shapes),
    Row("model.unknown_animals", "from_video", logits_of_nobody, logits),
    Row("model.gate", True, parameter_shapes, training_clips),
    Row(
        "model.drop_path_rate",
        0.9,
        training_logits,
        logits,
        {"model.architecture.vision_layers": 2},
    ),
    Row("model.remat", "blocks", saved_for_backward, logits),
    Row("model.attention", "fused", refusal, logits),  # a CPU has none
    Row("model.dtype", "bfloat16", logits, parameter_shapes),
    Row("init_from", "{init}", first_values, first_batch),
    Row("data.directory", "{other}", training_clips, rates),
    Row("data.train_split", "test", training_clips, clips_of_test),
    Row("data.test_split", "train", clips_of_test, training_clips),
    Row("data.validation_split", "test", validation_clips, training_clips),
    Row("data.validation_share", 0.25, validation_clips, clips_of_test),
    Row("data.num_actions", 9, refusal, rates),
    Row("data.num_animals", 9, refusal, rates),
    Row("data.flip", False, first_batch, first_values),
    Row("data.multi_scale_crop", True, first_batch, first_values),
    Row("data.num_workers", 2, None, first_batch),
    Row("data.mean", (1.0, 2.0, 3.0), step_loss, loss_values, PLAIN),
    Row("data.std", (11.0, 12.0, 13.0), step_loss, loss_values, PLAIN),
    Row("prompts.actions", "templates", action_features, animal_features),
    Row("prompts.animals", "templates", animal_features, action_features),
    Row(
        "prompts.pooling",
        "mean",
        action_features,
        animal_features,
        {"prompts.actions": "templates"},
    ),
    Row("prompts.cache", "{cache}", kept_features, action_features),
    Row("relation.file", "{relation}", relation, action_features),
    Row("relation.taxonomy", "{taxonomy}", relation, action_features, {"relation.min_clips": 99}),
    Row("relation.min_clips", 99, relation, action_features, {"relation.taxonomy": "{taxonomy}"}),
    Row("relation.similarity", 0.1, relation, animal_features),
    Row("animals.source", "none", step_loss, loss_values, PLAIN),
    Row("animals.label_dropout", 0.9, step_loss, plain_step_loss, PLAIN),
    Row(
        "animals.otherwise",
        "predicted",
        step_loss,
        plain_step_loss,
        PLAIN | {"animals.label_dropout": 0.5},
    ),
    Row("animals.weights", "{init}", predicted, training_clips, RECOGNISED),
    Row("animals.num_frames", 2, predicted, training_clips, RECOGNISED),
    Row("animals.prompts", "names", predicted, learned, RECOGNISED),
    Row("animals.temperature", 3.0, predicted, learned, RECOGNISED),
    Row("animals.top_k", 2, predicted, training_clips, RECOGNISED),
    Row("animals.head_l2", 0.5, learned, predicted, RECOGNISED),
    Row("augmentation.jitter_probability", 1.0, step_loss, plain_step_loss, PLAIN),
    Row("augmentation.brightness", 0.9, step_loss, plain_step_loss, JITTERED),
    Row("augmentation.contrast", 0.9, step_loss, plain_step_loss, JITTERED),
    Row("augmentation.saturation", 0.9, step_loss, plain_step_loss, JITTERED),
    Row("augmentation.hue", 0.4, step_loss, plain_step_loss, JITTERED),
    Row("augmentation.grey_probability", 0.9, step_loss, plain_step_loss, PLAIN),
    Row("augmentation.mix", True, step_loss, plain_step_loss, PLAIN),
    Row("augmentation.mixup_alpha", 5.0, step_loss, plain_step_loss, MIXED),
    Row("augmentation.cutmix_alpha", 5.0, step_loss, plain_step_loss, MIXED),
    Row("loss", "asymmetric", loss_values, rates),
    Row(
        "distribution_balanced_bias", "code", loss_values, rates, {"loss": "distribution_balanced"}
    ),
    Row("optimizer.name", "sgd", updates, without_gradient),
    Row("optimizer.learning_rate", 0.1, rates, loss_values),
    Row("optimizer.new_multiplier", 2.0, rates, loss_values),
    Row("optimizer.minimum_learning_rate", 1e-4, rates, loss_values),
    Row("optimizer.weight_decay", 0.1, without_gradient, rates),
    Row("optimizer.beta1", 0.5, updates, without_gradient),
    Row("optimizer.beta2", 0.5, updates, without_gradient),
    Row("optimizer.epsilon", 1e-3, updates, without_gradient),
    Row("optimizer.clip_norm", 0.5, updates, without_gradient),
    Row("optimizer.ema_decay", 0.9, step_averages, step_loss, PLAIN),
    Row("epochs", 5, rates, loss_values),
    Row("warmup_epochs", 0, rates, loss_values),
    Row("batch_size", 8, first_batch, first_values),
    Row("accumulation", 4, step_loss, plain_step_loss, JITTERED),
    Row("mesh.data", 2, refusal, training_clips),
    Row("mesh.fsdp", 2, refusal, training_clips, {"mesh.data": 1}),
    Row("mesh.model", 2, refusal, training_clips, {"mesh.data": 1}),
    whole("evaluation.every_epochs", judged),
    Row("evaluation.batch_size", 24, None, figures, UNSHUFFLED),
    Row("evaluation.temporal_views", 3, figures, training_clips, UNSHUFFLED),
    Row("evaluation.crops", 3, figures, training_clips, UNSHUFFLED),
    Row("evaluation.animal_sources", ("labels",), sources, training_clips, UNSHUFFLED),
    Row("evaluation.checkpoint", "best", evaluated_step, figures, UNSHUFFLED),
    Row(
        "evaluation.scores",
        "softmax",
        evaluated_scores,
        predicted_scores,
        {"loss": "binary_cross_entropy"},
    ),
    Row(
        "evaluation.open_vocabulary",
        True,
        figures,
        clips_of_test,
        {"data.directory": "{other}", **UNSHUFFLED},
    ),
    Row(
        "evaluation.shuffle_frames",
        False,
        figures,
        figures_in_order,
        {"evaluation.temporal_views": 1},
    ),
    whole("checkpoint.every_epochs", saved),
    whole("checkpoint.keep", saved),
    whole("checkpoint.select_best_on", chosen),
    whole("log_every_steps", logged),
    whole("profile", traced),
    Row("predict.video", "{video}", printed, figures, UNSHUFFLED),
    Row("predict.animals", "Zebra", printed, printed_labels, {**VIDEO, "predict.top_k": 8}),
    Row(
        "predict.source",
        "predicted",
        printed,
        printed_labels,
        {**VIDEO, **RECOGNISED, "predict.top_k": 8},
    ),
    Row("predict.action_labels", "{labels}", printed_labels, training_clips, VIDEO),
    Row(
        "predict.animal_labels",
        "{labels}",
        printed,
        training_clips,
        {**VIDEO, **RECOGNISED, "predict.source": "predicted"},
    ),
    Row("predict.top_k", 2, printed_labels, training_clips, VIDEO),
    Row("predict.calibration", False, printed, printed_labels, {**VIDEO, "predict.top_k": 8}),
]


@pytest.fixture(scope="module")
def place(data, videos, recogniser_folder, tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("fields")
    texts = {
        "labels.txt": "Digging\nWalking\n",
        "relation.csv": "animal,action\nZebra,Walking\n",
        "taxonomy.csv": "animal,class\n"
        + "".join(f"{name},Mammal\n" for name in load_info(data).animal_names),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    rows = [
        (f"{action}/{animal}_{split}_000.mp4", animal, action, split)
        for action in ("Walking", "LyingDown")
        for animal in ("Bear", "Cow")
        for split in ("train", "test")
    ]
    paths = {
        "data": data,
        "other": convert_csv(videos, folder, rows),
        "recogniser": recogniser_folder,
        "init": folder / "init",
        "run": folder / "run",
        "cache": folder / "cache",
        "video": videos / "videos" / "Walking" / "Zebra_test_000.mp4",
        **{name.partition(".")[0]: folder / name for name in texts},
    }
    config = tiny_run.config_on(data)
    description = assembly.model_description(config.model)
    _, abstract = assembly.abstract_model(config.model)
    metadata = weights.WeightsMetadata(model=description, normalisation=IMAGENET, source_files={})
    weights.save_weights(paths["init"], tiny.random_parameters(abstract), metadata)
    make_run(config, paths["run"])
    # A second checkpoint, of which the first is the better.
    shutil.copytree(paths["run"] / "checkpoints" / "1", paths["run"] / "checkpoints" / "2")
    described = paths["run"] / "checkpoints" / "2" / "description" / "metadata"
    content = {**json.loads(described.read_text()), "step": 2}
    del content["digest"]
    described.write_text(json.dumps(sealed(content)))
    calibrated(paths["run"], temperature=3.0)
    (paths["run"] / "evaluated.json").write_text('{"1": 0.9, "2": 0.1}')
    return Place(folder, paths)


def is_same(found: Any, expected: Any) -> bool:
    """Equal, but for what the last digits of a sum make of its order."""
    ours, theirs = jax.tree.flatten(found), jax.tree.flatten(expected)
    if ours[1] != theirs[1]:
        return False
    for a, b in zip(ours[0], theirs[0], strict=True):
        if isinstance(a, str) or isinstance(b, str):
            if a != b:
                return False
        elif np.shape(a) != np.shape(b) or not np.allclose(a, b, rtol=1e-5, atol=1e-7):
            return False
    return True


def test_every_field_has_a_row():
    assert sorted(row.field for row in ROWS) == sorted(leaves(default.get_config()))


@pytest.mark.parametrize("row", ROWS, ids=[row.field for row in ROWS])
def test_a_field_acts_where_it_should_and_nowhere_else(row, place):
    before, after = row.given, {**row.given, **row.together, row.field: row.value}
    kept = place.look(row.keeps, after)
    assert is_same(kept, place.look(row.keeps, before)), f"{row.field} changes {row.keeps.__name__}"
    if row.changes is not None:
        found, expected = place.look(row.changes, after), place.look(row.changes, before)
        assert not is_same(found, expected), f"{row.field} leaves {row.changes.__name__} as it is"


def test_a_mesh_of_all_devices_by_number_is_the_same(place):
    """One device, asked for by number or as all that there are."""
    for observable in (plain_step_loss, training_clips):
        assert is_same(place.look(observable, {"mesh.data": 1}), place.look(observable, {}))


def test_what_a_run_keeps_and_writes(place):
    """Twelve steps, three an epoch."""
    found = {look: place.look(look, OTHER_WHOLE_RUN) for look in (saved, logged, judged, chosen)}
    # The best is kept beside the one newest.
    assert set(found[saved]) <= {6, 9, 12} and 12 in found[saved] and len(found[saved]) <= 2
    assert found[logged] == [5, 10, 12]
    assert found[judged] == [9] and found[chosen] == ["9"]
    assert place.look(traced, OTHER_WHOLE_RUN) and not place.look(traced, WHOLE_RUN)
    assert place.look(saved, WHOLE_RUN) == [3, 6, 9, 12]
    assert place.look(judged, WHOLE_RUN) == [3, 6, 9, 12] and not place.look(chosen, WHOLE_RUN)
