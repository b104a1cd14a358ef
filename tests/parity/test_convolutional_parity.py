"""I3D, SlowFast and X3D beside figures recorded from the published torch programs, float32."""

import baseline_figures
import jax
import numpy as np
import pytest

from animal_clip_jax.conversion.state_dicts import pyslowfast_keys, to_parameters, to_state_dict
from animal_clip_jax.models import parameters
from animal_clip_jax.models.i3d import I3D, I3DArchitecture
from animal_clip_jax.models.slowfast import SlowFast, SlowFastArchitecture, slow_frames
from animal_clip_jax.models.x3d import X3D, X3DArchitecture
from animal_clip_jax.training import losses


def architecture(config: dict):
    """Of a recorded model."""
    size = {"num_frames": config["frames"], "image_size": config["image_size"]}
    if config["model"] == "x3d":
        return X3D, X3DArchitecture(
            **size,
            base_width=config["dim_c1"],
            width_factor=config["width_factor"],
            depth_factor=config["depth_factor"],
            bottleneck_factor=config["bottleneck_factor"],
            head_width=config["dim_c5"],
            stem_kernel=config["stem_temporal"],
            squeeze_factor=config["se_ratio"],
        )
    size |= {"width": config["width"], "depths": tuple(config["depths"])}
    kernels = [config["temporal_kernels"][f"s{stage}"] for stage in (2, 3, 4, 5)]
    if config["model"] == "i3d":
        return I3D, I3DArchitecture(
            **size,
            stem_kernel=config["stem_temporal"],
            temporal_kernels=tuple(map(tuple, kernels)),
            temporal_blocks=tuple(config["temporal_blocks"]),
            temporal_pool=config["pool1"][0],
        )
    return SlowFast, SlowFastArchitecture(
        **size,
        alpha=config["alpha"],
        beta=config["beta_inv"],
        slow_stem_kernel=config["stem_temporal"][0],
        fast_stem_kernel=config["stem_temporal"][1],
        slow_kernels=tuple(slow for slow, _ in kernels),
        fast_kernels=tuple(fast for _, fast in kernels),
        fusion_kernel=config["fusion_kernel"],
        fusion_ratio=config["fusion_ratio"],
    )


class Recorded:
    """A recorded model: its figures, and ours with its weights."""

    def __init__(self, name: str):
        self.config, self.figures = baseline_figures.load(name)
        module, dimensions = architecture(self.config)
        self.graphdef, self.expected = parameters.abstract(
            lambda: module(
                dimensions,
                num_classes=self.config["classes"],
                dropout_rate=0.0,
                rngs=parameters.rngs_for_shapes(),
            )
        )
        self.keys = pyslowfast_keys(self.expected)
        self.state = baseline_figures.state_dict(self.config["state"])
        # Refuses a key too many or too few, and other shapes.
        self.values = to_parameters(self.state, self.keys, self.expected, source=name)

    @property
    def model(self):
        return parameters.merge(self.graphdef, self.values)

    def clips(self, name: str) -> np.ndarray:
        """Recorded clips, channels last."""
        return self.figures[name].astype(np.float32).transpose(0, 2, 3, 4, 1)

    def assert_close(self, found, name: str) -> None:
        """Beside a recorded array, which may have its channels before time."""
        expected = self.figures[name]
        if name.startswith("act/"):
            expected = expected.transpose(0, 2, 3, 4, 1)
        baseline_figures.assert_same(found, expected, name)


@pytest.fixture(scope="module", params=["i3d", "slowfast", "x3d"])
def recorded(request) -> Recorded:
    return Recorded(request.param)


def test_keys_come_back_as_they_were(recorded):
    back = to_state_dict(recorded.values, recorded.keys)
    expected = {key for key in recorded.state if not key.endswith("num_batches_tracked")}
    assert back.keys() == expected
    for key, array in back.items():
        np.testing.assert_array_equal(array, recorded.state[key], strict=True)


def stages(model, clips) -> dict:
    """Our stage outputs by the names of the recorded ones."""
    found = {}
    for number, features in enumerate(model.stages(clips), start=1):
        if isinstance(model, SlowFast):
            found[f"s{number}.pathway0"], found[f"s{number}.pathway1"] = features[:2]
            if features.fused is not None:
                found[f"s{number}_fuse_slow"] = features.fused
        else:
            found[f"s{number}"] = features
    if isinstance(model, X3D):
        first = model.stage4[0]
        found["s4_res0_se"] = first.excitation(first.b(first.a(found["s3"])))
        found["head_pooled"] = model.head_means(found["s5"])
        found["head_lin5"] = model.encode_video(clips)
    return found


def test_evaluation(recorded):
    def evaluate(values, clips):
        model = parameters.merge(recorded.graphdef, values)
        encoded = model.encode_video(clips)
        probabilities = model.probabilities(encoded, recorded.config["head_act"])
        return model.score_encoded(encoded), probabilities, stages(model, clips[:1])

    clips = recorded.clips("input")
    logits, probabilities, activations = jax.jit(evaluate)(recorded.values, clips)
    recorded.assert_close(logits, "logits")
    recorded.assert_close(probabilities, "probs")
    names = [name for name in recorded.figures if name.startswith("act/")]
    assert len(names) >= 5
    for name in names:
        recorded.assert_close(activations[name.removeprefix("act/")], name)
    if "slow_index" in recorded.figures:
        indices = slow_frames(recorded.config["frames"], recorded.config["alpha"])
        np.testing.assert_array_equal(indices, recorded.figures["slow_index"])


def test_larger_frames_are_seen_at_several_positions(recorded):
    def evaluate(values, clips):
        model = parameters.merge(recorded.graphdef, values)
        encoded = model.encode_video(clips)
        activation = recorded.config["head_act"]
        return model.position_logits(encoded), model.probabilities(encoded, activation)

    logits, probabilities = jax.jit(evaluate)(recorded.values, recorded.clips("input_large"))
    recorded.assert_close(logits, "position_logits_large")
    recorded.assert_close(probabilities, "probs_large")


def test_training(recorded):
    clips, targets = recorded.clips("input"), recorded.figures["targets"]
    trained = {
        path: value for path, value in recorded.values.items() if not parameters.is_statistic(path)
    }
    one_hot = jax.nn.one_hot(targets, recorded.config["classes"])

    def loss(trained, values):
        logits, statistics = parameters.with_new_statistics(
            recorded.graphdef, {**values, **trained}, lambda model: model(clips, training=True)
        )
        return losses.cross_entropy(logits, one_hot).mean(), (logits, statistics)

    evaluated = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, (logits, statistics)), gradients = evaluated(trained, recorded.values)
    recorded.assert_close(logits, "train_logits")
    assert float(value) == pytest.approx(float(recorded.figures["train_loss"]), rel=3e-5)

    after = to_state_dict(statistics, pyslowfast_keys(statistics))
    names = {name for name in recorded.figures if name.startswith("bn_after/")}
    assert names == {f"bn_after/{key}" for key in after}
    for key, array in after.items():
        recorded.assert_close(array, f"bn_after/{key}")

    found = to_state_dict(gradients, pyslowfast_keys(gradients))
    baseline_figures.assert_gradients(found, recorded.figures)


@pytest.mark.parametrize(
    ("name", "module", "dimensions"),
    [
        ("i3d", I3D, I3DArchitecture()),
        ("slowfast", SlowFast, SlowFastArchitecture()),
        ("x3d", X3D, X3DArchitecture(depth_factor=5.0)),
    ],
)
def test_full_size_keys_and_shapes(name, module, dimensions):
    listed = baseline_figures.keys_and_shapes(name)
    _, expected = parameters.abstract(
        lambda: module(dimensions, num_classes=140, rngs=parameters.rngs_for_shapes())
    )
    found = {
        key: layout.torch_shape(expected[path].shape)
        for path, ((key,), layout) in pyslowfast_keys(expected).items()
    }
    assert found == listed
    # And whole, as arrays: nothing is missing, unknown or of another shape.
    tensors = {key: np.broadcast_to(np.float32(0), shape) for key, shape in listed.items()}
    loaded = to_parameters(tensors, pyslowfast_keys(expected), expected, source=name)
    assert {path: array.shape for path, array in loaded.items()} == {
        path: value.shape for path, value in expected.items()
    }
