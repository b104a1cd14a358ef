"""What is trained: parts of the method left out, put in another's place, or mended."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from benchmarks.trainings.many import Kind

DESCRIPTIONS = "configs/demo_descriptions"

SIMILARITY = 0.15  # a temperature
# Where a test takes the animals from: the first as published.
SOURCES = ("labels", "predicted", "learned", "none")
Fields = Mapping[str, Any]


def _texts(kind: str) -> dict[str, str]:
    if kind != "descriptions":
        return {"prompts.actions": kind, "prompts.animals": kind}
    return {f"prompts.{name}": f"{DESCRIPTIONS}/{name}.csv" for name in ("actions", "animals")}


# The method as it was published, with descriptions.
PUBLISHED: Fields = MappingProxyType(
    {
        **_texts("descriptions"),
        "model.refinement": True,
        "model.graph": "summed",
        "model.adaptive_prompts": True,
        "model.unknown_animals": "zero",
        "model.gate": False,
        "relation.similarity": 0.0,
        "relation.taxonomy": "",
        "relation.min_clips": 0,
        "animals.source": "labels",
        "animals.label_dropout": 0.0,
        "animals.otherwise": "none",
        "evaluation.animal_sources": SOURCES,
        "evaluation.shuffle_frames": False,
    }
)
_HALF = {"animals.label_dropout": 0.5}
_TAXONOMY = {
    "relation.taxonomy": f"{DESCRIPTIONS}/animal_classes.csv",
    "relation.min_clips": 1,
}

# Half of the animals recognised from the clip, as those of a new video are.
_HALF_RECOGNISED = {**_HALF, "animals.otherwise": "predicted"}
# What configs/demo.py has.
RECOMMENDED: Fields = MappingProxyType({**_HALF_RECOGNISED, "model.graph": "none"})


def _variant(name: str, title: str, changed: Fields) -> Kind:
    """As published, but for what is changed."""
    return Kind(name, title, "demo", {**PUBLISHED, **changed})


VARIANTS: tuple[Kind, ...] = (
    *(
        _variant(
            f"video-{kind}",
            f"video tower alone, {kind}",
            _texts(kind) | {"model.refinement": False},
        )
        for kind in ("names", "templates", "descriptions")
    ),
    _variant("published-names", "as published, names", _texts("names")),
    _variant("published-templates", "as published, templates", _texts("templates")),
    _variant("published", "as published, descriptions", {}),
    _variant("graph-only", "graph, no prompts", {"model.adaptive_prompts": False}),
    _variant("prompts-only", "prompts, no graph", {"model.graph": "none"}),
    _variant("taxonomy", "graph inherited by taxonomy", _TAXONOMY),
    _variant("dropout", "half of the animals withheld", _HALF),
    _variant("averaged", "averaged graph", {"model.graph": "averaged"}),
    _variant("similarity", "graph by similar descriptions", {"relation.similarity": SIMILARITY}),
    _variant(
        "from-video", "animals from the video", {**_HALF, "model.unknown_animals": "from_video"}
    ),
    _variant("gate", "gate on refinement", {"model.gate": True}),
    _variant(
        "mended",
        "averaged graph by similar descriptions, half of the animals recognised",
        {**_HALF_RECOGNISED, "model.graph": "averaged", "relation.similarity": SIMILARITY},
    ),
    _variant("recommended", "recommended: no graph, half of the animals recognised", RECOMMENDED),
)
BY_NAME: Mapping[str, Kind] = MappingProxyType({each.name: each for each in VARIANTS})
