"""The models that are compared in the synthetic world: Animal-CLIP, and those that it was published
beside, each with the same clips, frames and epochs."""

from collections.abc import Mapping
from typing import Any

from benchmarks.ablations.variants import PUBLISHED, RECOMMENDED
from benchmarks.trainings.many import Kind

NUM_FRAMES = 8
_SHUFFLED = {"model.num_frames": NUM_FRAMES, "evaluation.shuffle_frames": True}
# The animals of the test are recognised from the clip, as on a video that nobody labelled.
_RECOGNISED = {**_SHUFFLED, "evaluation.animal_sources": ("predicted",)}
_NOBODY_ASKS = {
    "model.family": "xclip",
    "animals.source": "none",
    "animals.label_dropout": 0.0,
    "evaluation.animal_sources": ("none",),
    "prompts.actions": "names",
}


def _baseline(name: str, title: str, **fields: Any) -> Kind:
    family = {"model.family": name}
    return Kind(name, title, "demo_baseline", {**_SHUFFLED, **family, **fields}, from_clip=False)


def _on_clip(name: str, title: str) -> Kind:
    return _baseline(name, title, **{"model.preset": ""})._replace(from_clip=True)


def _animal_clip(name: str, title: str, fields: Mapping[str, Any]) -> Kind:
    return Kind(name, title, "demo", {**PUBLISHED, **fields, **_RECOGNISED})


KINDS: tuple[Kind, ...] = (
    _baseline("i3d", "I3D"),
    _baseline("slowfast", "SlowFast"),
    _baseline("x3d", "X3D"),
    _baseline("mvit", "MViT"),
    _on_clip("video_prompt", "VideoPrompt"),
    _on_clip("evl", "EVL"),
    Kind("xclip", "X-CLIP", "demo", {**PUBLISHED, **_SHUFFLED, **_NOBODY_ASKS}),
    _animal_clip("animal_clip", "Animal-CLIP, as published", {}),
    _animal_clip("recommended", "Animal-CLIP, as recommended here", RECOMMENDED),
)
