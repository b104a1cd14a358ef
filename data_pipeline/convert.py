"""Videos and annotations -> TFRecord shards.

    animal-clip convert-videos --dataset=lote_animal --source=LoTE --output=lote_tfrecord

A conversion that was interrupted goes on when the same command is run again. Of one that is
complete, shards are written anew that are missing or cut short, or lack a video mended since.
`data_pipeline.dataset` says which files the output holds.
"""

import argparse
import contextlib
import functools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_local_path
from animal_clip_jax.shares import Share
from data_pipeline.annotations.datasets import READERS
from data_pipeline.conversion.dataset_writer import Options, convert
from data_pipeline.conversion.encode import encode_video
from data_pipeline.conversion.write_shards import WriteShards, write_shards
from data_pipeline.dataset_files import REPAIRS_FILE
from data_pipeline.limits import MOST_CLIPS, MOST_SHORT_SIDE, MOST_WORKERS
from data_pipeline.listing import list_source
from data_pipeline.reading_flags import add_reading_flags, read_as_flags_say

ENGINES = ("local", "ray")


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
        help=f"processes that decode ({os.cpu_count() or 1}; with Ray 1)",
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
        help="replace another conversion; same frames are kept",
    )
    rare = parser.add_rare
    rare("--shard", page="docs/scaling.md")
    rare("--engine", choices=ENGINES, default="local", page="docs/scaling.md")
    rare("--address", page="docs/scaling.md")
    rare("--stills", action="store_true", page="docs/own-clips.md")
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
    share = Share.parse(options.shard) if options.shard is not None else None
    if options.engine == "ray":
        if share is not None:
            raise UserError("--shard is for processes without Ray, which deals out the shards")
        command_line.need("ray")
    elif options.address is not None:
        raise UserError("--address is for --engine=ray, the address of a Ray cluster")
    annotations = read_as_flags_say(options.dataset, options.source, options)
    for note in annotations.notes:
        print(note)
    workers = options.workers or (1 if options.engine == "ray" else os.cpu_count() or 1)
    with _write(options, workers) as write:
        splits = convert(
            options.dataset,
            annotations,
            options.output,
            options=Options(options.short_side, options.max_frames, options.clips_per_shard),
            workers=workers,
            max_failures=options.max_failures,
            overwrite=options.overwrite,
            encode=functools.partial(encode_video, stills=options.stills),
            tries_again=options.stills,
            share=share,
            write=write,
        )
    if splits is None:
        return
    repaired = Counter(repair.kind for repair in annotations.repairs)
    for kind, count in repaired.items():
        rows = f"{count} row{'s' * (count != 1)}"
        print(f"{rows} repaired, see {Path(options.output) / REPAIRS_FILE}: {kind}")
    print(
        ", ".join(f"{split}: {count} clip{'s' * (count != 1)}" for split, count in splits.items())
    )


@contextlib.contextmanager
def _write(options: argparse.Namespace, workers: int) -> Iterator[WriteShards]:
    if options.engine != "ray":
        yield write_shards
        return
    from animal_clip_jax.ray_cluster import joined
    from data_pipeline.conversion.ray_engine import write_shards_on_ray

    with joined(options.address):
        yield functools.partial(write_shards_on_ray, workers=workers)


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
