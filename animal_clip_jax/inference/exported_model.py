"""A trained model as files that programs without this package can run, with jax alone.

model.jax_export    the computation (StableHLO), for any number of clips, on CPU, GPU and TPU
arrays.npz          its parameters, the features and relations of the classes, and the temperature
model.json          its labels, how a video becomes frames, and where it comes from
README.txt          how it is called
saved_model/        the same for programs that have TensorFlow, if it is asked for
"""

import hashlib
import io
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from animal_clip_jax.errors import AlreadyThereError
from animal_clip_jax.evaluation.scoring import PROBABILITIES
from animal_clip_jax.files import as_local_path, write_whole
from animal_clip_jax.models import parameters
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.normalisation import normalise
from animal_clip_jax.run import assembly
from animal_clip_jax.run.calibration import Calibration, calibration_in_use
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.run.workdir import program
from animal_clip_jax.whole_outputs import current, replacing

PLATFORMS = ("cpu", "cuda", "tpu")
MODEL_FILE, ARRAYS_FILE, DESCRIPTION_FILE = "model.jax_export", "arrays.npz", "model.json"
SAVED_MODEL_FOLDER = "saved_model"

_README = """\
A model that recognises what animals do in videos, exported from a training run.

    import hashlib
    import json
    import jax
    import jax.export
    import numpy as np

    model = jax.export.deserialize(bytearray(open("model.jax_export", "rb").read()))
    arrays = dict(np.load("arrays.npz"))
    labels = json.load(open("model.json"))
    for name, digest in labels["sha256"].items():
        if hashlib.sha256(open(name, "rb").read()).hexdigest() != digest:
            raise ValueError(f"{{name}} is damaged")

    # One view of each clip: uint8, RGB, (clips, {num_frames}, {size}, {size}, 3)
    frames = np.zeros((1, {num_frames}, {size}, {size}, 3), np.uint8)
    # How likely each animal of labels["animals"] is in each clip; zeros if that is not known.
    animals = np.zeros((1, {num_animals}), np.float32)
    probabilities, features = model.call(arrays, frames, animals)
    print(labels["actions"][int(probabilities[0].argmax())])

It needs jax, and flatbuffers, with which jax reads what was exported: pip install jax flatbuffers.
jax reads what an older version of it has exported for at least six months. model.json says how a
video becomes frames.
"""
_SAVED_MODEL_README = """
The same with TensorFlow alone:

    import tensorflow as tf

    model = tf.saved_model.load("saved_model").signatures["serving_default"]
    result = model(frames=tf.constant(frames), animals=tf.constant(animals))
    probabilities, features = result["probabilities"], result["features"]
"""


def export(
    run: TrainedRun,
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    saved_model: bool = False,
) -> None:
    """Writes the model of a run as files for other programs.

    An exported model that is there stays until this one is whole.

    Args:
        run: the model with its labels.
        output: folder to write, on this machine.
        overwrite: replace an exported model that is there.
        saved_model: write a SavedModel of TensorFlow, too.

    Raises:
        AlreadyThereError: the folder holds something.
        UserError: it cannot be written.
    """
    folder = as_local_path(output, "the folder of an exported model")
    check_output(folder, overwrite=overwrite)
    calibration = calibration_in_use(run, run.config)
    values, classes = run.restore(jax.sharding.SingleDeviceSharding(jax.local_devices()[0]))
    arrays: dict[str, Any] = {
        **{f"parameters.{path}": value for path, value in values.items()},
        **{f"classes.{name}": value for name, value in classes._asdict().items()},
        "temperature": np.float32(1.0 if calibration is None else calibration.temperature),
    }
    readme = _README.format(
        num_frames=run.config.model.num_frames,
        size=run.model.architecture.image_size,
        num_animals=len(run.labels.animals),
    )
    with replacing(folder) as new:
        # Somebody else may have written there since.
        check_output(folder, overwrite=overwrite)
        exported = exported_function(run, arrays)
        new.mkdir()
        write_whole(new / MODEL_FILE, bytes(exported.serialize()))
        write_whole(new / ARRAYS_FILE, _as_npz(arrays))
        if saved_model:
            _write_saved_model(run, arrays, new / SAVED_MODEL_FOLDER)
            readme += _SAVED_MODEL_README
        digests = {
            path.relative_to(new).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(pathlib.Path(new).rglob("*"))
            if path.is_file()
        }
        about = {
            **description(run),
            "calibration": _about(calibration),
            "calling_convention": exported.calling_convention_version,
            "sha256": digests,
        }
        write_whole(new / "README.txt", readme)
        write_whole(new / DESCRIPTION_FILE, json.dumps(about, indent=2) + "\n")


def exported_function(run: TrainedRun, arrays: dict[str, Any]) -> jax_export.Exported:
    """The function (arrays, frames, animal weights) -> (probabilities, features) of one view.

    Args:
        arrays: the parameters, classes and temperature by name, of which only the shapes are used.

    Returns:
        for frames (clips, frames, size, size, 3) uint8 and animal weights (clips, animals) float32
        with any number of clips; probabilities are (clips, actions) float32, features (clips,
        embed_dim) float32.
    """
    (clips,) = jax_export.symbolic_shape("clips")
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), arrays)
    return jax_export.export(jax.jit(_scoring(run)), platforms=PLATFORMS)(
        shapes,
        jax.ShapeDtypeStruct((clips, *_frames_shape(run)), jnp.uint8),
        jax.ShapeDtypeStruct((clips, len(run.labels.animals)), jnp.float32),
    )


def _frames_shape(run: TrainedRun) -> tuple[int, ...]:
    size = run.model.architecture.image_size
    return run.config.model.num_frames, size, size, 3


def _scoring(run: TrainedRun) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """The function that `exported_function` exports."""
    graphdef, normalisation = run.graphdef, run.normalisation
    to_probabilities = PROBABILITIES[assembly.outputs(run.config)]

    def score(arrays, frames, animal_weights):
        values = {
            name.removeprefix("parameters."): array
            for name, array in arrays.items()
            if name.startswith("parameters.")
        }
        classes = ClassContext(*(arrays[f"classes.{name}"] for name in ClassContext._fields))
        model: Any = parameters.merge(graphdef, values)
        logits, features = model.score(normalise(frames, *normalisation), classes, animal_weights)
        return to_probabilities(logits / arrays["temperature"]), features.astype(jnp.float32)

    return score


def _write_saved_model(run: TrainedRun, arrays: dict[str, Any], folder: pathlib.Path) -> None:
    # Imported here: TensorFlow is not needed for the rest.
    from data_pipeline.saved_model import write_saved_model

    score = _scoring(run)

    def named(*given: Any) -> dict[str, jax.Array]:
        return dict(zip(("probabilities", "features"), score(*given), strict=True))

    on_host: dict[str, np.ndarray] = {name: np.asarray(value) for name, value in arrays.items()}
    inputs = [
        ("frames", _frames_shape(run), np.uint8),
        ("animals", (len(run.labels.animals),), np.float32),
    ]
    write_saved_model(named, on_host, inputs, folder, platforms=PLATFORMS)


def description(run: TrainedRun) -> dict[str, Any]:
    """What `model.json` says."""
    return {
        "actions": list(run.labels.actions),
        "animals": list(run.labels.animals),
        "probabilities": "a share of 1 for each action"
        if assembly.outputs(run.config) == "softmax"
        else "each action by itself",
        "num_frames": run.config.model.num_frames,
        "image_size": run.model.architecture.image_size,
        "preprocessing": "A view of a clip is num_frames of its frames, each in the middle of one "
        "of as many equal segments; of each, the square in the middle whose side is 7/8 of the "
        "short side, resized to image_size. Pixels stay 0 to 255. Several views of a clip are "
        "put together by the mean of their probabilities.",
        "step": run.step,
        "exported_by": program(),
        "jax": jax.__version__,
        "readable_by": f"jax {jax.__version__} and every later version of the six months after its "
        "release, on cpu, cuda and tpu; most later ones read it, too",
    }


def _about(calibration: Calibration | None) -> dict[str, Any] | None:
    if calibration is None:
        return None
    return {
        "temperature": calibration.temperature,
        "thresholds": dict(calibration.thresholds),
        "fitted_on": dict(calibration.clips),
    }


def check_output(folder: os.PathLike[str], *, overwrite: bool) -> None:
    """Raises AlreadyThereError if the folder holds something that is not to be replaced."""
    path = pathlib.Path(current(as_local_path(folder, "the folder of an exported model")))
    if path.is_file():
        raise AlreadyThereError(f"{path} is a file; expected a folder to write")
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not (path / MODEL_FILE).exists():
        raise AlreadyThereError(f"{path} holds something else; give another --output")
    if not overwrite:
        raise AlreadyThereError(f"{path} holds an exported model; replace it with --overwrite")


def _as_npz(arrays: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    on_host: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
    np.savez(content, **on_host)
    return content.getvalue()
