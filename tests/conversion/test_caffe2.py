"""Caffe2's files of weights, as PySlowFast's model zoo has them, and files made to do harm."""

import pickle
import struct
from collections.abc import Callable

import numpy as np
import pytest
from small_video_networks import SMALL, assert_all_read, shapes, state_dict

from animal_clip_jax.conversion.caffe2 import read_state_dict, torch_key
from animal_clip_jax.conversion.video_weights import read_video_weights
from animal_clip_jax.errors import UserError


class Python2Pickler(pickle._Pickler):  # the one in Python, whose methods can be replaced
    """Writes texts and bytes as Python 2 wrote both, as strings of bytes."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        content = value if isinstance(value, bytes) else value.encode("latin-1")
        self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_string


def _python2(content, path) -> None:
    with path.open("wb") as file:
        Python2Pickler(file, protocol=2).dump(content)


def _python3(protocol: int) -> Callable:
    return lambda content, path: path.write_bytes(pickle.dumps(content, protocol))


# PySlowFast's name of a blob; a few of each kind, and how all others follow.
CAFFE2_NAMES = {
    "conv1_w": "s1.pathway0_stem.conv.weight",
    "res_conv1_bn_s": "s1.pathway0_stem.bn.weight",
    "res_conv1_bn_rm": "s1.pathway0_stem.bn.running_mean",
    "t_conv1_w": "s1.pathway1_stem.conv.weight",
    "t_res_conv1_bn_riv": "s1.pathway1_stem.bn.running_var",
    "t_pool1_subsample_w": "s1_fuse.conv_f2s.weight",
    "t_pool1_subsample_bn_b": "s1_fuse.bn.bias",
    "t_res3_3_branch2c_bn_subsample_w": "s3_fuse.conv_f2s.weight",
    "t_res3_3_branch2c_bn_subsample_bn_rm": "s3_fuse.bn.running_mean",
    "res2_0_branch1_w": "s2.pathway0_res0.branch1.weight",
    "res2_0_branch1_bn_s": "s2.pathway0_res0.branch1_bn.weight",
    "res4_22_branch2a_w": "s4.pathway0_res22.branch2.a.weight",
    "res4_22_branch2b_bn_b": "s4.pathway0_res22.branch2.b_bn.bias",
    "t_res5_2_branch2c_bn_riv": "s5.pathway1_res2.branch2.c_bn.running_var",
    "pred_w": "head.projection.weight",
    "pred_b": "head.projection.bias",
    # Of no network that is read here, they stay unknown.
    "nonlocal_conv3_1_theta_w": "nonlocal_conv3_1_theta_w",
    "res2_0_branch2a_s": "res2_0_branch2a_s",
    "model_iter": "model_iter",
}


def caffe2_name(key: str) -> str:
    """A blob's name for one of PySlowFast's keys."""
    leaf = key.rpartition(".")[2]
    prefix = "t_" if "pathway1" in key or "_fuse" in key else ""
    is_norm = "bn." in key
    value = {"weight": "s" if is_norm else "w", "bias": "b", "running_mean": "rm"}
    end = ("_bn_" if is_norm else "_") + value.get(leaf, "riv")
    if key.startswith("head."):
        return f"pred{end}"
    if "_stem" in key:
        return f"{prefix}{'res_' if is_norm else ''}conv1{end}"
    if "_fuse" in key:
        stage = int(key[1])
        last = SMALL["depths"][stage - 2] - 1
        layer = "pool1" if stage == 1 else f"res{stage}_{last}_branch2c_bn"
        return f"t_{layer}_subsample{end}"
    stage, block, branch, *rest = key.split(".")
    index, part = block.rpartition("res")[2], rest[0].removesuffix("_bn") if len(rest) > 1 else ""
    return f"{prefix}res{stage[1:]}_{index}_{branch.removesuffix('_bn')}{part}{end}"


def blobs(name: str) -> dict[str, np.ndarray]:
    """As Caffe2 saved a model: without axes of 1 at the end, with what its training left."""
    found = {}
    for key, array in state_dict(name).items():
        if not key.endswith("num_batches_tracked"):
            shape = array.shape
            while len(shape) > 2 and shape[-1] == 1:
                shape = shape[:-1]
            found[caffe2_name(key)] = array.reshape(shape)
    momenta = {f"{name}_momentum": array for name, array in found.items()}
    return found | momenta | {"lr": np.array([0.1]), "model_iter": np.array([12])}


@pytest.mark.parametrize("write", [_python2, _python3(2), _python3(4), _python3(5)])
def test_caffe2_files(write, tmp_path):
    path = tmp_path / "SLOWFAST_8x8_R50.pkl"
    write({"blobs": blobs("slowfast"), "cfg": "TRAIN: 1"}, path)
    taken, _ = read_video_weights(path, shapes("slowfast"), "slowfast")
    assert_all_read(taken, "slowfast")


def test_caffe2_names():
    assert {name: torch_key(name) for name in CAFFE2_NAMES} == CAFFE2_NAMES


def test_arrays_of_caffe2_files_in_other_orders(tmp_path):
    arrays = {
        "columns_w": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big_endian_b": np.arange(3, dtype=">f4"),
        "half_b": np.arange(3, dtype=np.float16),
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"blobs": arrays}, 2))
    found = read_state_dict(tmp_path / "a.pkl")
    assert found.keys() == {"columns_w", "big_endian_b", "half_b"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def _with_state(state) -> bytes:
    """A pickle of {"blobs": {"a": an array with this state}}."""
    whole = pickle.dumps({"blobs": {"a": np.zeros(2, np.float32)}}, 2)
    shape = pickle.dumps((2,), 2)[2:-1].partition(b"q")[0]
    assert whole.count(shape) == 1
    return whole.replace(shape, pickle.dumps(state, 2)[2:-1].partition(b"q")[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda folder: pickle.dumps({"blobs": {"a": [1.0, 2.0]}}), "blob 'a' is [1.0, 2.0]"),
        (lambda folder: pickle.dumps({"blobs": {"lr": 0.1}}), "'lr' is 0.1; expected an array"),
        (
            lambda folder: pickle.dumps({"blobs": {"a": Harm(folder / "harm")}}),
            "blob 'a' is an object with its code; expected an array",
        ),
        (lambda folder: pickle.dumps({"blobs": {7: np.zeros(2)}}), "blob 7 is"),
        (lambda folder: pickle.dumps({"blobs": {"a": np.array([None])}}), "an array of 'O8'"),
        (lambda folder: pickle.dumps({"blobs": {"a": np.array(["a"])}}), "an array of 'U1'"),
        (lambda folder: pickle.dumps({"blobs": {}}), "it has no blobs"),
        (lambda folder: pickle.dumps([1, 2]), "it has no blobs"),
        (lambda folder: pickle.dumps({"blobs": blobs("i3d")})[:-2000], "the file is damaged"),
        (lambda folder: b"<html>not found</html>", "the file is damaged or not a Caffe2 file"),
        (lambda folder: _with_state((3,)), "an array of shape (3,) with 8 bytes"),
        (lambda folder: _with_state((-2,)), "by something else than sizes"),
        (lambda folder: _with_state((2**40,)), "by something else than sizes"),
        (
            lambda folder: pickle.dumps(
                {"blobs": {"conv1_w": np.zeros(2), "res_conv1_w": np.zeros(2)}}
            ),
            "two blobs are s1.pathway0_stem.conv.weight",
        ),
    ],
)
def test_caffe2_files_of_something_else_than_arrays(content, message, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(content(tmp_path))
    with pytest.raises(UserError) as error:
        read_state_dict(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert message in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pkl"]  # nothing was executed
