"""I3D, SlowFast and X3D as functions of a state dict, in torch's own operations.

A second reading of the papers and of PySlowFast's names, to compare with: no module, no
architecture; what there is in a network, its keys say.
"""

import itertools

import torch
from torch.nn import functional


class Network:
    """Operations on the arrays of a state dict; in training, they change its statistics."""

    def __init__(self, state: dict, *, training: bool):
        self.state = {key: torch.tensor(value) for key, value in state.items()}
        self.training = training

    def convolution(self, x, key, stride=(1, 1, 1)):
        weight, bias = self.state[f"{key}.weight"], self.state.get(f"{key}.bias")
        groups = x.shape[1] // weight.shape[1]
        padding = [size // 2 for size in weight.shape[2:]]
        return functional.conv3d(x, weight, bias, stride, padding, groups=groups)

    def norm(self, x, key):
        names = ("running_mean", "running_var", "weight", "bias")
        arrays = (self.state[f"{key}.{name}"] for name in names)
        return functional.batch_norm(x, *arrays, training=self.training)

    def block(self, x, key, stride):
        strides = (1, stride, stride)
        y = torch.relu(self.norm(self.convolution(x, f"{key}.branch2.a"), f"{key}.branch2.a_bn"))
        y = self.norm(self.convolution(y, f"{key}.branch2.b", strides), f"{key}.branch2.b_bn")
        if self.is_x3d:
            if f"{key}.branch2.se.fc1.weight" in self.state:
                means = y.mean((2, 3, 4), keepdim=True)
                squeezed = torch.relu(self.convolution(means, f"{key}.branch2.se.fc1"))
                y = y * torch.sigmoid(self.convolution(squeezed, f"{key}.branch2.se.fc2"))
            y = functional.silu(y)
        else:
            y = torch.relu(y)
        y = self.norm(self.convolution(y, f"{key}.branch2.c"), f"{key}.branch2.c_bn")
        if f"{key}.branch1.weight" in self.state:
            x = self.norm(self.convolution(x, f"{key}.branch1", strides), f"{key}.branch1_bn")
        return torch.relu(x + y)

    def stage(self, x, number, pathway=0):
        for index in itertools.count():
            key = f"s{number}.pathway{pathway}_res{index}"
            if f"{key}.branch2.a.weight" not in self.state:
                return x
            is_strided = index == 0 and (number > 2 or self.is_x3d)
            x = self.block(x, key, 2 if is_strided else 1)

    def stem(self, x, pathway=0):
        key = f"s1.pathway{pathway}_stem"
        x = torch.relu(self.norm(self.convolution(x, f"{key}.conv", (1, 2, 2)), f"{key}.bn"))
        return functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))

    @property
    def is_x3d(self) -> bool:
        return "head.lin_5.weight" in self.state

    def projected(self, features):
        """(clips, channels) → (clips, classes)."""
        projection = (self.state["head.projection.weight"], self.state["head.projection.bias"])
        return functional.linear(features, *projection)


def i3d(network, clips):
    x = network.stage(network.stem(clips), 2)
    x = functional.max_pool3d(x, (2, 1, 1), (2, 1, 1))
    for number in (3, 4, 5):
        x = network.stage(x, number)
    return network.projected(x.mean((2, 3, 4)))


def slowfast(network, clips, alpha=4):
    count = clips.shape[2] // alpha
    chosen = torch.linspace(0, clips.shape[2] - 1, count).long()
    slow, fast = network.stem(clips[:, :, chosen]), network.stem(clips, 1)
    for number in (1, 2, 3, 4):
        key = f"s{number}_fuse"
        fused = network.convolution(fast, f"{key}.conv_f2s", (alpha, 1, 1))
        slow = torch.cat([slow, torch.relu(network.norm(fused, f"{key}.bn"))], 1)
        slow, fast = network.stage(slow, number + 1), network.stage(fast, number + 1, 1)
    return network.projected(torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1))


def x3d(network, clips):
    x = network.convolution(clips, "s1.pathway0_stem.conv_xy", (1, 2, 2))
    x = network.convolution(x, "s1.pathway0_stem.conv")
    x = torch.relu(network.norm(x, "s1.pathway0_stem.bn"))
    for number in (2, 3, 4, 5):
        x = network.stage(x, number)
    x = torch.relu(network.norm(network.convolution(x, "head.conv_5"), "head.conv_5_bn"))
    x = torch.relu(network.convolution(x.mean((2, 3, 4), keepdim=True), "head.lin_5"))
    return network.projected(x[:, :, 0, 0, 0])
