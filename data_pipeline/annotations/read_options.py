"""What may be asked of the reading of annotations, beside where they are."""

from dataclasses import dataclass
from pathlib import Path

ACTIONS_FROM = ("labels", "pairs")


@dataclass(frozen=True)
class ReadOptions:
    """Choices of the person who converts; which data sets they mean something to is in
    `datasets.READERS`.

    Attributes:
        annotations: the file to read, where there are several forms; None chooses.
        actions_from: of Animal Kingdom's workbook: whether the actions of a clip are its numbered
            "labels", as in the official evaluation, or those of its "pairs".
        train_group: of the protocol for unseen animals: the group that is trained on, such as
            "bird"; "" for all.
        action_labels: a CSV of `id,name` with the names of the actions, where the annotations only
            number them.
        roots: further folders in which videos are looked for, on other disks for instance.
        animal: which is in every clip, where the annotation does not name the animals; "" for none.
        may_lack_videos: whether annotations are wanted although there is no folder of videos, for a
            look at them; it means something to all data sets that need one.
    """

    annotations: Path | None = None
    actions_from: str = "labels"
    train_group: str = ""
    action_labels: Path | None = None
    roots: tuple[Path, ...] = ()
    animal: str = ""
    may_lack_videos: bool = False


DEFAULTS = ReadOptions()
