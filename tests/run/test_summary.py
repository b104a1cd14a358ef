"""What a training says at its start."""

import types

import jax
import numpy as np
import pytest

from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.run import summary
from configs import demo


@pytest.mark.parametrize(
    ("loss", "multi_label", "is_said"),
    [
        ("cross_entropy", True, True),
        ("cross_entropy", False, False),
        ("binary_cross_entropy", True, False),
    ],
)
def test_a_loss_that_shares_1_among_several_actions_is_said(loss, multi_label, is_said):
    config = demo.get_config()
    config.loss = loss
    info = types.SimpleNamespace(
        action_names=["Walking", "Eating"], animal_names=["Fox"], multi_label=multi_label
    )
    clips = types.SimpleNamespace(index=[0] * 5)
    data = types.SimpleNamespace(info=info, train=clips, validation=None, test=clips)
    state = types.SimpleNamespace(trained={"a": np.zeros((2, 3))}, frozen={})
    mesh = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.local_devices()[:1])
    text = summary.opening(config, data, state, mesh)
    assert "2 actions, 1 animals: 5 clips to train on, 5 to test on" in text
    assert ("--config.loss=binary_cross_entropy judges each by itself" in text) is is_said
