"""The tiny I3D, SlowFast and X3D beside torch's operations under PySlowFast's names."""

import baseline_figures
import jax
import numpy as np
import pytest

from animal_clip_jax.conversion.state_dicts import pyslowfast_keys, to_parameters, to_state_dict
from animal_clip_jax.models import parameters
from animal_clip_jax.models.i3d import I3D, I3D_ARCHITECTURES
from animal_clip_jax.models.slowfast import SLOWFAST_ARCHITECTURES, SlowFast
from animal_clip_jax.models.x3d import X3D, X3D_ARCHITECTURES

torch = pytest.importorskip("torch")
import torch_video_networks as networks  # noqa: E402


@pytest.mark.parametrize(
    ("module", "architecture", "reference"),
    [
        (I3D, I3D_ARCHITECTURES["tiny"], networks.i3d),
        (SlowFast, SLOWFAST_ARCHITECTURES["tiny"], networks.slowfast),
        (X3D, X3D_ARCHITECTURES["tiny"], networks.x3d),
    ],
)
def test_logits_and_running_statistics(module, architecture, reference):
    graphdef, expected = parameters.abstract(
        lambda: module(architecture, num_classes=5, rngs=parameters.rngs_for_shapes())
    )
    keys = pyslowfast_keys(expected)
    state = {
        key: baseline_figures.weight(key, layout.torch_shape(expected[path].shape))
        for path, ((key,), layout) in keys.items()
    }
    values = to_parameters(state, keys, expected, source="weights")
    size = (3, architecture.num_frames, architecture.image_size, architecture.image_size)
    clips = np.random.default_rng(0).standard_normal((2, *size)).astype(np.float32)

    @jax.jit
    def both(values, clips):
        trained = parameters.with_new_statistics(
            graphdef, values, lambda model: model(clips, training=True)
        )
        return parameters.merge(graphdef, values)(clips), *trained

    logits, train_logits, statistics = both(values, clips.transpose(0, 2, 3, 4, 1))
    with torch.no_grad():
        pairs = [(logits, reference(networks.Network(state, training=False), torch.tensor(clips)))]
        trained = networks.Network(state, training=True)
        pairs.append((train_logits, reference(trained, torch.tensor(clips))))
    after = to_state_dict(statistics, pyslowfast_keys(statistics))
    pairs += [(array, trained.state[key]) for key, array in after.items()]
    assert len(after) == sum(key.endswith(("running_mean", "running_var")) for key in state)
    for found, wanted in pairs:
        baseline_figures.assert_same(found, np.asarray(wanted), reference.__name__)
