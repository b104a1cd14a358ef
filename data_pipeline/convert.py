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
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_local_path
from data_pipeline.annotations.datasets import READERS
from data_pipeline.conversion.dataset_writer import Options, convert
from data_pipeline.conversion.encode import encode_video
from data_pipeline.dataset_files import REPAIRS_FILE
from data_pipeline.limits import MOST_CLIPS, MOST_SHORT_SIDE, MOST_WORKERS
from data_pipeline.listing import list_source
from data_pipeline.reading_flags import add_reading_flags, read_as_flags_say


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip convert-videos`; returns the exit code."""
    parser = Parser(
        "convert-videos",
        usage="--dataset=NAME --source=PATH --output=DIR ...",
        summary="Makes training data of videos and their annotations.\n"
        "Interrupted, it goes on when the same command is run again.",
        examples=(
            "animal-clip convert-videos --dataset=csv --source=clips.csv --output=data/mine",
            "animal-clip convert-videos --dataset=lote_animal --source=LoTE --list",
            "animal-clip convert-videos --dataset=lote_animal --source=LoTE --output=lote",
        ),
    )
    add = parser.add_argument
    add(
        "--dataset",
        metavar="NAME",
        required=True,
        choices=tuple(READERS),
        help=f"one of {', '.join(READERS)}",
    )
    add("--source", metavar="PATH", required=True, help="folder of the official files, or a list")
    add("--output", metavar="DIR", help="folder for the shards")
    add(
        "--list",
        action="store_true",
        help="convert nothing, say what is there and missing; exit code 0 if it can be converted, "
        "else 2",
    )
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
        help="frames kept of a clip; 0 keeps all (%(default)s)",
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
        help="clips that may lack a usable video (0)",
    )
    add_reading_flags(parser)
    add(
        "--overwrite",
        action="store_true",
        help="replace another conversion in DIR; frames of the same videos are kept",
    )
    add("--stills", action="store_true", help="take still pictures for videos of one frame")
    return command_line.run(
        lambda: _convert(parser.parse(arguments)),
        if_interrupted="run the same command again to go on",
    )


def _convert(options: argparse.Namespace) -> None:
    if options.list:
        _list(options)
        return
    if options.output is None:
        raise UserError("missing: --output; or --list to see what is there")
    command_line.need("tensorflow", "tensorflow_datasets")
    annotations = read_as_flags_say(options.dataset, options.source, options)
    for note in annotations.notes:
        print(note)
    splits = convert(
        options.dataset,
        annotations,
        options.output,
        options=Options(options.short_side, options.max_frames, options.clips_per_shard),
        workers=options.workers,
        max_failures=options.max_failures,
        overwrite=options.overwrite,
        encode=functools.partial(encode_video, stills=options.stills),
        tries_again=options.stills,
    )
    repaired = Counter(repair.kind for repair in annotations.repairs)
    for kind, count in repaired.items():
        rows = f"{count} row{'s' * (count != 1)}"
        print(f"{rows} repaired, see {Path(options.output) / REPAIRS_FILE}: {kind}")
    print(
        ", ".join(f"{split}: {count} clip{'s' * (count != 1)}" for split, count in splits.items())
    )


def _list(options: argparse.Namespace) -> None:
    text, problem = list_source(
        options.dataset,
        as_local_path(options.source, "the source of the annotations"),
        lambda: read_as_flags_say(options.dataset, options.source, options, may_lack_videos=True),
        max_failures=options.max_failures,
    )
    print(text, flush=True)
    if problem:
        raise UserError(f"this cannot be converted yet: {problem}")


if __name__ == "__main__":
    sys.exit(main())
