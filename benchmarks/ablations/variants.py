"""What is trained: parts of the method left out, put in another's place, or mended."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

DESCRIPTIONS = "configs/demo_descriptions"

SIMILARITY = 0.15  # a temperature
Fields = Mapping[str, Any]


class Variant(NamedTuple):
    """One way to train the model.

    Attributes:
        name: of its folder.
        title: of its row.
        fields: of the configuration, by dotted name, where they differ from `PUBLISHED`.
    """

    name: str
    title: str
    fields: Fields


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

VARIANTS: tuple[Variant, ...] = (
    *(
        Variant(
            f"video-{kind}",
            f"video tower alone, {kind}",
            _texts(kind) | {"model.refinement": False},
        )
        for kind in ("names", "templates", "descriptions")
    ),
    Variant("published-names", "as published, names", _texts("names")),
    Variant("published-templates", "as published, templates", _texts("templates")),
    Variant("published", "as published, descriptions", {}),
    Variant("graph-only", "graph, no prompts", {"model.adaptive_prompts": False}),
    Variant("prompts-only", "prompts, no graph", {"model.graph": "none"}),
    Variant("taxonomy", "graph inherited by taxonomy", _TAXONOMY),
    Variant("dropout", "half of the animals withheld", _HALF),
    Variant("averaged", "averaged graph", {"model.graph": "averaged"}),
    Variant("similarity", "graph by similar descriptions", {"relation.similarity": SIMILARITY}),
    Variant(
        "from-video", "animals from the video", {**_HALF, "model.unknown_animals": "from_video"}
    ),
    Variant("gate", "gate on refinement", {"model.gate": True}),
    Variant(
        "mended",
        "averaged graph by similar descriptions, half of the animals recognised",
        {**_HALF_RECOGNISED, "model.graph": "averaged", "relation.similarity": SIMILARITY},
    ),
    Variant("recommended", "recommended: no graph, half of the animals recognised", RECOMMENDED),
)
BY_NAME: Mapping[str, Variant] = MappingProxyType({each.name: each for each in VARIANTS})
