"""A small data set with a mistake of every kind, counted by hand."""

from pathlib import Path

from data_pipeline.annotations.record import (
    Annotations,
    Clip,
    Repair,
    make_annotations,
    make_clip,
)

SCRIPT = "<script>alert('x')</script>"
# The first letter is Cyrillic.
EIDER = "\u0421ommon Eider"


def clip(path: str, actions: str, animals: str, split: str = "train", **fields) -> Clip:
    """A clip whose labels are separated by `;`."""
    return make_clip(
        path,
        actions=[name for name in actions.split(";") if name],
        animals=[name for name in animals.split(";") if name],
        split=split,
        source=f"list.csv, {path}",
        **fields,
    )


def clips() -> list[Clip]:
    """Nine clips of four splits."""
    return [
        clip("a.mp4", "Eating;Walking", "Fox"),
        clip("b.mp4", "Eating", "Fox;Boar"),
        clip("c.mp4", "Eating", "", performed=[]),
        # Of one recording, two bouts, in two splits.
        clip("long.mp4", "Walking", "Fox", start=1.0, stop=2.0),
        clip("long.mp4", "Walking", "Fox", "test", start=3.0, stop=3.5),
        # Its pairs do not have the second action, and have another.
        clip("d.mp4", "Eating;Walking", "Fox", performed=[("Fox", "Eating"), ("Fox", "Resting")]),
        clip("e.mp4", "Resting", EIDER, "test"),
        clip("f.mp4", "Walking", "Boar", "test"),
        clip("g.mp4", "Eating", SCRIPT, "val"),
    ]


def annotations(root: Path = Path("nowhere"), **fields) -> Annotations:
    """Of those clips; "Flying" and "Bat" have none."""
    return make_annotations(
        clips(),
        roots=[root],
        multi_label=True,
        action_names=("Eating", "Walking", "Resting", "Flying"),
        animal_names=("Fox", "Boar", EIDER, SCRIPT, "Bat"),
        repairs=[
            Repair("list.csv", "", 3, "a comma too many", "Fox,", "Fox"),
            Repair("list.csv", "", 5, "a comma too many", "Fox,", "Fox"),
            Repair("list.csv", "", 6, "no label", "#N/A", ""),
        ],
        **fields,
    )
