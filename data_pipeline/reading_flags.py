"""The flags that say how annotations are read, the same for every command that reads some."""

import argparse
import os
from pathlib import Path

from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.files import as_local_path
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.read_options import ACTIONS_FROM, DEFAULTS, ReadOptions
from data_pipeline.annotations.record import Annotations
from data_pipeline.annotations.splits import Shares, names_of

READING_FLAGS = (
    *("annotations", "actions_from", "train_group", "root"),
    *("animal", "test_share", "validation_share", "held_out_animals", "merge_labels"),
    *("action_labels", "animal_labels", "cut_bouts"),
)


def add_reading_flags(parser: Parser) -> None:
    """Adds `READING_FLAGS` to a command."""
    add = parser.add_argument
    add("--annotations", metavar="FILE", help="the one to read, if there are several forms")
    add(
        "--actions_from",
        choices=ACTIONS_FROM,
        metavar="WHICH",
        default=DEFAULTS.actions_from,
        help="of animal_kingdom's workbook: labels or pairs",
    )
    add(
        "--train_group",
        metavar="NAME",
        default="",
        help="of animal_kingdom_unseen: such as bird",
    )
    add(
        "--root",
        metavar="DIR",
        action="append",
        default=[],
        help="another folder with videos; may be repeated",
    )
    add("--animal", metavar="NAME", default="", help="in every clip, where the list names none")
    share = numeric(float, most=1)
    add("--test_share", metavar="SHARE", type=share, default=0.0, help="of the clips, for testing")
    add("--validation_share", metavar="SHARE", type=share, default=0.0, help="to choose a model by")
    add("--held_out_animals", metavar="NAMES", default="", help="A,B: tested on, not trained on")
    seconds = numeric(float, least=0.1)
    add("--cut_bouts", metavar="SECONDS", type=seconds, default=0.0, help="make pieces so long")
    add("--merge_labels", metavar="CSV", help="from,to rows: labels that become others")
    add(
        "--action_labels",
        metavar="CSV",
        help="id,name rows: order of the actions (animal_kingdom_unseen: their names)",
    )
    add("--animal_labels", metavar="CSV", help="id,name rows: the order of the animals")


def read_as_flags_say(
    dataset: str,
    source: str | os.PathLike,
    options: argparse.Namespace,
    *,
    may_lack_videos: bool = False,
) -> Annotations:
    """The annotations of a source, read as the flags of a command line say.

    Args:
        dataset: one of `datasets.READERS`.
        source: the folder of official files, or a CSV.
        options: parsed, with those of `add_reading_flags`.
        may_lack_videos: as in `ReadOptions`.

    Raises:
        UserError: a folder of videos is a URL; and, like the others, as `read_annotations`.
        FileNotFoundError, AnnotationError: the files are missing or wrong.
    """
    return read_annotations(
        dataset,
        source,
        options=ReadOptions(
            annotations=options.annotations and Path(options.annotations),
            actions_from=options.actions_from,
            train_group=options.train_group,
            roots=tuple(as_local_path(root, "a folder of videos") for root in options.root),
            animal=options.animal,
            may_lack_videos=may_lack_videos,
        ),
        action_labels=options.action_labels,
        animal_labels=options.animal_labels,
        merge_labels=options.merge_labels,
        cut_bouts=options.cut_bouts,
        shares=Shares(
            options.test_share, options.validation_share, names_of(options.held_out_animals)
        ),
    )
