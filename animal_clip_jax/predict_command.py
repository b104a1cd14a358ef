"""`animal-clip predict`: what the animals in videos do, as text or in a folder of files."""

import argparse
import os
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser
from animal_clip_jax.errors import UserError
from animal_clip_jax.run_arguments import RUN_AGAIN, add_config, config_of
from data_pipeline.limits import MOST_WORKERS

ENGINES = ("local", "ray")
EXISTING = ("skip", "overwrite", "error")
# All other flags mean something where results are written.
_WITHOUT_OUTPUT = ("workdir", "videos", "output", "config", "list_fields", "fields")


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip predict`; returns the exit code."""
    parser = Parser(
        "predict",
        usage="RUN VIDEO [VIDEO ...] [--output=DIR] ...",
        summary="Says what the animals in videos do. With --output, writes it; the same command\n"
        "again goes on where it stopped.",
        examples=(
            "animal-clip predict runs/demo/run clip.mp4",
            "animal-clip predict runs/demo/run footage --recursive --output=answers \\",
            "  --window=2 --stride=1",
        ),
        takes_fields=True,
    )
    add = parser.add_argument
    add("workdir", metavar="RUN", help="the run's folder")
    add(
        "videos",
        metavar="VIDEO",
        nargs="*",
        help="file, folder, 'pattern*.mp4', or list (CSV, txt)",
    )
    add("--output", metavar="DIR", help="folder for the results")
    _add_output_flags(parser)
    add_config(parser)
    failed: list[str] = []
    code = command_line.run(
        lambda: failed.extend(_predict_videos(parser, parser.parse(arguments))),
        if_interrupted=RUN_AGAIN,
    )
    return code or (1 if failed else code)


def _add_output_flags(parser: Parser) -> None:
    add = parser.add_argument_group("with --output").add_argument
    seconds = command_line.numeric(float, above=0)
    add("--recursive", action="store_true", help="look into folders in folders, too")
    add("--window", metavar="SECONDS", type=seconds, help="look at pieces so long, make bouts")
    add("--stride", metavar="SECONDS", type=seconds, help="from piece to piece (half a window)")
    share = command_line.numeric(float, most=1)
    add("--threshold", metavar="P", type=share, default=0.0, help="of the probability of a bout")
    add("--format", metavar="NAMES", default="", help="for other tools: boris,… (docs/formats.md)")
    add("--report", action="store_true", help="write pages to look at, report.html")
    add("--existing", metavar="HOW", choices=EXISTING, default="skip",
        help=f"results that are there: {' | '.join(EXISTING)} (skip)")  # fmt: skip
    add("--save_embeddings", action="store_true", help="write the features of the videos, too")
    add("--save_video", action="store_true", help="write copies with labels drawn in, too")
    add("--save_clips", action="store_true", help="write a short video for each bout, too")
    add("--workers", metavar="N", type=command_line.numeric(int, most=MOST_WORKERS),
        default=os.cpu_count() or 1, help="processes that decode (%(default)s)")  # fmt: skip
    add("--dry_run", action="store_true", help="only list the videos")
    # What few people need is on the pages, and here by name.
    rare = parser.add_rare
    above_0 = command_line.numeric(float, above=0, most=1)
    rare("--blank_below", type=above_0, page="docs/prediction.md")
    rare("--expected_bout", type=seconds, page="docs/prediction.md")
    rare("--least_bout", type=command_line.numeric(float), default=0.0, page="docs/prediction.md")
    whole = command_line.numeric(int, least=1, most=MOST_WORKERS)
    rare("--batch_size", type=whole, default=8, page="docs/prediction.md")
    rare("--report_attention", action="store_true", page="docs/prediction.md")
    rare("--shard", page="docs/scaling.md")
    rare("--engine", choices=ENGINES, default="local", page="docs/scaling.md")
    rare("--address", page="docs/scaling.md")
    rare("--deployments", page="docs/formats.md")
    rare("--scientific_names", page="docs/formats.md")
    rare("--time_bin", type=seconds, page="docs/formats.md")


def _predict_videos(parser: Parser, options: argparse.Namespace) -> Sequence[str]:
    """Predicts videos; the names of those that failed."""
    if not options.videos and not options.list_fields:
        raise UserError("missing: VIDEO; see animal-clip predict -h")
    if options.output is None and not options.dry_run:
        for name, value in vars(options).items():
            if name not in _WITHOUT_OUTPUT and value != parser.get_default(name):
                raise UserError(f"--{name} is for --output=DIR; give a folder for the results")
        print_predictions(options)
        return ()
    from animal_clip_jax.inference.inputs import find_inputs

    videos = find_inputs(options.videos, recursive=options.recursive)
    if options.dry_run:
        for video in videos:
            print(f"{video.name}\t{video.path}\t{video.problem}".rstrip())
        return tuple(video.name for video in videos if video.problem)
    config = config_of(options, is_trained=True)
    if config is None:
        return ()
    from animal_clip_jax.inference.predict_into import predict_into
    from animal_clip_jax.run.compiled_programs import keep_compiled_programs

    keep_compiled_programs()
    return predict_into(options.workdir, config, videos, options)


def print_predictions(options: argparse.Namespace) -> None:
    """Says what happens in videos, as `main.py --mode=predict` does too."""
    config = config_of(options, is_trained=True)
    if config is None:
        return
    from animal_clip_jax.inference.predict import predict
    from animal_clip_jax.run.compiled_programs import keep_compiled_programs

    keep_compiled_programs()
    with command_line.ended_at_once_by_ctrl_c():
        print(predict(options.workdir, config, options.videos))
