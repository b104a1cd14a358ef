"""Weights of I3D, SlowFast and X3D, as PySlowFast and the baselines' release store them."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from small_video_networks import MODELS, assert_all_read, shapes, state_dict

from animal_clip_jax.conversion.conversion import save_torch
from animal_clip_jax.conversion.state_dicts import pyslowfast_keys
from animal_clip_jax.conversion.video_weights import read_video_weights
from animal_clip_jax.errors import UserError


def save_pyslowfast(path, state: Mapping[str, np.ndarray], field: str = "model_state") -> None:
    """As PySlowFast's `save_checkpoint` and the release's do."""
    torch = pytest.importorskip("torch")
    tensors = {key: torch.tensor(value) for key, value in state.items()}
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    torch.save(
        {"epoch": 7, field: tensors, "optimizer_state": optimizer, "cfg": "TRAIN:\n  ENABLE: 1\n"},
        path,
    )


@pytest.mark.parametrize("name", MODELS)
def test_pyslowfast_files_and_back(name, tmp_path):
    path = tmp_path / "checkpoint_epoch_00007.pyth"
    save_pyslowfast(path, state_dict(name))
    weights, files = read_video_weights(path, shapes(name), name)
    assert_all_read(weights, name)
    assert list(files) == [path.name]
    back = tmp_path / "back.pyth"
    keys = pyslowfast_keys(weights.parameters)
    save_torch(back, weights.parameters, keys=keys, field="model_state")
    saved = pytest.importorskip("torch").load(back)["model_state"]
    assert_all_read(read_video_weights(back, shapes(name), name)[0], name)
    assert len(saved) == len(weights.parameters)


def test_files_of_the_release(tmp_path):
    save_pyslowfast(tmp_path / "best.pth", state_dict("x3d"), field="model")
    assert_all_read(read_video_weights(tmp_path / "best.pth", shapes("x3d"), "x3d")[0], "x3d")


def test_a_classifier_of_other_classes_is_replaced_and_listed(tmp_path):
    path = tmp_path / "kinetics.pyth"
    save_pyslowfast(path, state_dict("i3d", num_classes=9))
    weights, _ = read_video_weights(path, shapes("i3d"), "i3d")
    assert weights.lines() == [
        "head.projection.weight: 9 classes in the file, 5 here; initial values",
        "head.projection.bias: 9 classes in the file, 5 here; initial values",
    ]
    assert shapes("i3d").keys() - weights.parameters.keys() == set(weights.replaced)
    assert set(weights.replaced) == {"projection.kernel", "projection.bias"}
    stem = weights.parameters["stem.convolution.kernel"]
    expected = state_dict("i3d")["s1.pathway0_stem.conv.weight"]
    np.testing.assert_array_equal(stem.transpose(4, 3, 0, 1, 2), expected)


def changed(change: Callable[[dict], object]) -> dict[str, np.ndarray]:
    state = state_dict("i3d")
    change(state)
    return state


WIDER = np.ones((16, 3, 5, 7, 7), np.float32)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            lambda: changed(
                lambda state: state.update(
                    {
                        key.replace("res0", "res1"): value
                        for key, value in state.items()
                        if key.startswith("s4.")
                    }
                )
            ),
            "weights of another depth: layers of s4.pathway0_res: found 2, expected 1",
        ),
        (
            lambda: changed(lambda state: state.update({"s1.pathway0_stem.conv.weight": WIDER})),
            "s1.pathway0_stem.conv.weight has shape (16, 3, 5, 7, 7); expected (8, 3, 5, 7, 7)",
        ),
        (
            lambda: changed(
                lambda state: state.update({"head.projection.weight": np.ones((5, 9))})
            ),
            "head.projection.weight has shape (5, 9); expected (5, 256)",
        ),
        (
            lambda: changed(lambda state: state.pop("s3.pathway0_res0.branch2.b_bn.running_var")),
            "missing s3.pathway0_res0.branch2.b_bn.running_var",
        ),
        (
            lambda: state_dict("slowfast"),
            "head.projection.weight has shape (5, 288); expected (5, 256)",
        ),
    ],
)
def test_weights_of_another_network(state, message, tmp_path):
    save_pyslowfast(tmp_path / "other.pyth", state())
    with pytest.raises(UserError) as error:
        read_video_weights(tmp_path / "other.pyth", shapes("i3d"), "i3d")
    assert str(tmp_path / "other.pyth") in str(error.value) and message in str(error.value)


def test_what_may_be_missing_is_listed(tmp_path):
    state = changed(lambda state: state.pop("head.projection.bias"))
    save_pyslowfast(tmp_path / "a.pyth", state)
    weights, _ = read_video_weights(
        tmp_path / "a.pyth", shapes("i3d"), "i3d", allow_missing=["head.*"]
    )
    assert weights.lines() == ["head.projection.bias: not in the file; initial values"]
    assert shapes("i3d").keys() - weights.parameters.keys() == {"projection.bias"}
