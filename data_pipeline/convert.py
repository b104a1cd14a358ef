"""Videos and annotations -> TFRecord shards.

    animal-clip convert-videos --dataset=lote_animal --source=LoTE --output=lote_tfrecord

A conversion that was interrupted goes on when the same command is run again. Of one that is
complete, shards are written anew that are missing or cut short, or lack a video mended since.
`data_pipeline.dataset` says which files the output holds.
"""

import argparse
import functools
import os
import sys
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from data_pipeline.annotations.datasets import READERS, read_annotations
from data_pipeline.conversion.dataset_writer import Options, convert
from data_pipeline.conversion.encode import encode_video
from data_pipeline.limits import MOST_CLIPS, MOST_SHORT_SIDE, MOST_WORKERS


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip convert-videos`; returns the exit code."""
    parser = Parser(
        "convert-videos",
        usage="--dataset=NAME --source=PATH --output=DIR ...",
        summary="Makes training data of videos and their annotations.\n"
        "Interrupted, it goes on when the same command is run again.",
        examples=(
            "animal-clip convert-videos --dataset=csv --source=clips.csv --output=data/mine",
            "animal-clip convert-videos --dataset=lote_animal --source=LoTE --output=lote",
        ),
    )
    add = parser.add_argument
    add("--dataset", required=True, choices=tuple(READERS), help="of which form the source is")
    add("--source", metavar="PATH", required=True, help="folder of the official files, or a CSV")
    add("--output", metavar="DIR", required=True, help="folder for the shards")
    positive = numeric(int, least=1, most=MOST_CLIPS)
    whole = numeric(int, most=MOST_CLIPS)
    add(
        "--short_side",
        metavar="PIXELS",
        type=numeric(int, least=1, most=MOST_SHORT_SIDE),
        default=Options.short_side,
        help="frames are made that small (%(default)s)",
    )
    add(
        "--max_frames",
        metavar="N",
        type=whole,
        default=Options.max_frames,
        help="frames kept of a clip, evenly spaced; 0 keeps all (%(default)s)",
    )
    add(
        "--clips_per_shard",
        metavar="N",
        type=positive,
        default=Options.clips_per_shard,
        help="in a file of the output (%(default)s)",
    )
    add(
        "--workers",
        metavar="N",
        type=numeric(int, least=1, most=MOST_WORKERS),
        default=os.cpu_count() or 1,
        help="processes that decode (%(default)s)",
    )
    add(
        "--max_failures",
        metavar="N",
        type=whole,
        default=0,
        help="clips that may be left out for want of a usable video (0)",
    )
    add("--stills", action="store_true", help="take still pictures for videos of one frame")
    add("--action_labels", metavar="CSV", help="id,name rows: the order of the actions")
    add("--animal_labels", metavar="CSV", help="id,name rows: the order of the animals")
    return command_line.run(
        lambda: _convert(parser.parse(arguments)),
        if_interrupted="run the same command again to go on",
    )


def _convert(options: argparse.Namespace) -> None:
    command_line.need("tensorflow", "tensorflow_datasets")
    splits = convert(
        options.dataset,
        read_annotations(
            options.dataset,
            options.source,
            action_labels=options.action_labels,
            animal_labels=options.animal_labels,
        ),
        options.output,
        options=Options(options.short_side, options.max_frames, options.clips_per_shard),
        workers=options.workers,
        max_failures=options.max_failures,
        encode=functools.partial(encode_video, stills=options.stills),
        tries_again=options.stills,
    )
    print(
        ", ".join(f"{split}: {count} clip{'s' * (count != 1)}" for split, count in splits.items())
    )


if __name__ == "__main__":
    sys.exit(main())
