"""How the text features are fitted to the animals of a clip: as published, in parts, or in ways
that mend what the published design gets wrong."""

import dataclasses

GRAPHS = ("summed", "averaged", "none")
UNKNOWN_ANIMALS = ("zero", "from_video")


@dataclasses.dataclass(frozen=True)
class RefinementOptions:
    """What Animal-CLIP's refinement consists of; as published unless said otherwise.

    Attributes:
        graph: how the relation graph puts the neighbours of a node together: "summed", as
            published; "averaged", see `RelationGraph`; or "none": the actions' features go on as
            they are.
        adaptive_prompts: whether video and actions receive prompts made from the animals.
        unknown_animals: what stands for the animals of a clip of which none is known: "zero", as
            published; or "from_video", the model's own guess, see `AnimalCLIP.animals_of`.
        gate: whether the model learns how far to trust the refinement of a clip, see
            `RefinementGate`. Published models have no such parameters.
    """

    graph: str = "summed"
    adaptive_prompts: bool = True
    unknown_animals: str = "zero"
    gate: bool = False

    def __post_init__(self):
        for name, known in (("graph", GRAPHS), ("unknown_animals", UNKNOWN_ANIMALS)):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name} is {value!r}; expected one of {', '.join(known)}")

    @property
    def is_any(self) -> bool:
        """Whether the animals matter at all."""
        return self.graph != "none" or self.adaptive_prompts


PUBLISHED = RefinementOptions()
NO_REFINEMENT = RefinementOptions(graph="none", adaptive_prompts=False)
