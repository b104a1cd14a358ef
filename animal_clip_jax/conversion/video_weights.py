"""Weights of I3D, SlowFast, X3D, MViT, VideoPrompt and EVL: of the baselines' release, and of what
that builds on (PySlowFast, Caffe2, Efficient-Prompt, efficient-video-recognition)."""

import dataclasses
import os
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from animal_clip_jax.conversion import readers
from animal_clip_jax.conversion.state_dicts import (
    KeyTable,
    is_buffer,
    pyslowfast_keys,
    to_parameters,
    to_state_dict,
)
from animal_clip_jax.conversion.video_model_names import video_model_keys
from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.mvit import MViTArchitecture


@dataclasses.dataclass(frozen=True)
class _Family:
    """What the published files of a family may lack or have beside a model's weights.

    Attributes:
        head: paths of the classifier, which is of the data set that it was trained on.
        frozen: beginning of the keys of a frozen CLIP; a file has all of it or nothing.
        unused: shell-style patterns of keys that the model may have no place for.
    """

    head: tuple[str, ...] = ()
    frozen: str = ""
    unused: tuple[str, ...] = ()


_CONVOLUTIONAL = _Family(head=("projection.kernel", "projection.bias"))
_LINEAR_HEAD = ("head.kernel", "head.bias")
# PySlowFast has a convolution and a norm for keys and values where the release, whose strides have
# come to 1 there, has none.
_MVIT = _Family(
    head=_LINEAR_HEAD,
    unused=tuple(f"blocks.*.attn.{part}_{name}.*" for part in ("pool", "norm") for name in "kv"),
)
_FAMILIES = {
    "i3d": _CONVOLUTIONAL,
    "slowfast": _CONVOLUTIONAL,
    "x3d": _CONVOLUTIONAL,
    "mvit": _MVIT,
    "mvit_image": _MVIT,
    "video_prompt": _Family(frozen="clipmodel."),
    "evl": _Family(head=_LINEAR_HEAD, frozen="backbone."),
}


class Taken(NamedTuple):
    """What a model takes of a file.

    Attributes:
        parameters: float32 arrays by our path. What the file lacks, or has for other classes, is
            not there.
        replaced: the classifier's paths, where the file has other classes: {path: what was found}.
        missing: keys that the file lacks, as was allowed.
        lacking: paths of a frozen CLIP that is not in the file.
        left_out: keys of the file that the model has no place for.
    """

    parameters: dict[str, np.ndarray]
    replaced: Mapping[str, str]
    missing: tuple[str, ...]
    lacking: tuple[str, ...]
    left_out: tuple[str, ...]

    def lines(self) -> list[str]:
        """What a person should know, a line for each array of the classifier and each key that is
        missing or was left out, and one for a frozen CLIP that the file lacks."""
        lines = [f"{found}; initial values" for found in self.replaced.values()]
        lines += [f"{shortened(key)}: not in the file; initial values" for key in self.missing]
        lines += [
            f"{shortened(key)}: left out, this model computes without it" for key in self.left_out
        ]
        if self.lacking:
            lines.append(
                f"{len(self.lacking)} arrays of the frozen CLIP are not in the file: "
                f"{self.lacking[0]}, ..."
            )
        return lines


def read_video_weights(
    path: str | os.PathLike[str],
    expected: Mapping[str, Any],
    family: str,
    *,
    allow_missing: Sequence[str] = (),
    allow_unused: Sequence[str] = (),
    allow_nonfinite: bool = False,
) -> tuple[Taken, Mapping[str, str]]:
    """Reads a checkpoint file for a model.

    Examples:
        >>> architecture = I3D_ARCHITECTURES["I3D R50 8x8"]
        >>> _, expected = parameters.abstract(lambda: I3D(architecture, ..., rngs=nnx.Rngs(0)))
        >>> taken, files = read_video_weights("I3D_8x8_R50.pkl", expected, "i3d")
        >>> print(*taken.lines(), sep="\\n")

    Args:
        path: a torch or Caffe2 file, see `readers.read_checkpoint`.
        expected, family, allow_missing, allow_unused, allow_nonfinite: see `take`.

    Returns:
        what the model takes of it; and the SHA-256 digest of each file that was read, by name.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        UserError: it is damaged or no checkpoint, or see `take`.
    """
    checkpoint = readers.read_checkpoint(pathlib.Path(path))
    taken = take(
        checkpoint.tensors,
        expected,
        family,
        source=str(path),
        allow_missing=allow_missing,
        allow_unused=allow_unused,
        allow_nonfinite=allow_nonfinite,
    )
    return taken, readers.digests(checkpoint.files)


def take(
    tensors: Mapping[str, np.ndarray],
    expected: Mapping[str, Any],
    family: str,
    *,
    source: str,
    allow_missing: Sequence[str] = (),
    allow_unused: Sequence[str] = (),
    allow_nonfinite: bool = False,
) -> Taken:
    """What a model takes of a state dict.

    Args:
        tensors: the state dict.
        expected: the model's parameters by path, or their shapes, as `models.parameters` gives.
        family: "i3d", "slowfast", "x3d", "mvit", "mvit_image" (one frame), "video_prompt" or "evl".
        source: the file's path, for the messages.
        allow_missing, allow_unused, allow_nonfinite: see `state_dicts.to_parameters`.

    Raises:
        UserError: weights of another depth, width, number of frames or image size, keys that are
            missing or unknown; names the file and the key, and says what was found and expected.
    """
    rules, table = _FAMILIES[family], video_keys(expected, family)
    shapes = {
        path: jax.ShapeDtypeStruct(np.shape(value), np.float32) for path, value in expected.items()
    }
    has_clip = any(key.startswith(rules.frozen) for key in tensors) if rules.frozen else True
    lacking = () if has_clip else _paths_of(rules.frozen, table)
    in_file = {path: keys for path, keys in table.items() if path not in lacking}
    _check_depths(tensors, in_file, source=source)
    replaced = _other_classes(tensors, in_file, shapes, rules.head)
    wanted = {path: shapes[path] for path in in_file if path not in replaced}
    parameters = to_parameters(
        tensors,
        in_file,
        wanted,
        source=source,
        allow_missing=allow_missing,
        allow_unused=(*rules.unused, *allow_unused),
        allow_nonfinite=allow_nonfinite,
    )
    known = {name for names, _ in in_file.values() for name in names}
    return Taken(
        parameters,
        replaced,
        missing=tuple(table[path][0][0] for path in wanted if path not in parameters),
        lacking=lacking,
        left_out=tuple(name for name in tensors if name not in known and not is_buffer(name)),
    )


def to_published(parameters: Mapping[str, np.ndarray], family: str) -> dict[str, np.ndarray]:
    """A model's parameters under the published keys, in torch's layouts, float32.

    Args:
        family: see `take`.
    """
    return to_state_dict(parameters, video_keys(parameters, family))


def video_keys(paths: Iterable[str], family: str) -> KeyTable:
    """The published keys of a family's parameters.

    Args:
        family: see `take`.
    """
    if _FAMILIES[family] is _CONVOLUTIONAL:
        return pyslowfast_keys(paths)
    return video_model_keys(paths, family)


def published_layout(model: ModelDescription) -> str:
    """The `family` of `take` of a model of ours."""
    is_of_images = isinstance(model.architecture, MViTArchitecture) and (
        model.architecture.patch_kernel[0] == 1
    )
    return "mvit_image" if is_of_images else model.family


def _paths_of(beginning: str, table: KeyTable) -> tuple[str, ...]:
    return tuple(path for path, (names, _) in table.items() if names[0].startswith(beginning))


def _check_depths(tensors: Mapping[str, np.ndarray], table: KeyTable, *, source: str) -> None:
    """Refuses weights of another depth by how many layers they have, not by all that those hold."""
    found = _layers(tensors)
    for stack, numbers in _layers(name for names, _ in table.values() for name in names).items():
        count = len(found.get(stack, ()))
        if count not in (0, len(numbers)):
            raise UserError(
                f"{source}: weights of another depth: layers of {stack}: found {count}, expected "
                f"{len(numbers)}"
            )


def _layers(names: Iterable[str]) -> dict[str, set[int]]:
    """The numbers of the layers of each stack: {"blocks": {0, 1, 2}, "s2.pathway0_res": {0}}."""
    layers: dict[str, set[int]] = defaultdict(set)
    for name in names:
        if match := re.match(r"(.*?_res|.*?(?=\.))\.?(\d+)(\.|$)", name):
            layers[match[1]].add(int(match[2]))
    return layers


def _other_classes(
    tensors: Mapping[str, np.ndarray],
    table: KeyTable,
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    head: Iterable[str],
) -> dict[str, str]:
    """The classifier's paths, if the file has it for another number of classes."""
    replaced = {}
    for path in head:
        (name,), layout = table[path]
        expected = layout.torch_shape(shapes[path].shape)
        found = tensors[name].shape if name in tensors else expected
        # Of another width, it is not this model's: `to_parameters` says so.
        if found[1:] == expected[1:] and found != expected:
            replaced[path] = f"{name}: {found[0]} classes in the file, {expected[0]} here"
    return replaced
