"""Contrastive pretraining of an image–text model, CLIP, on one's own pictures and texts.

    python -m animal_clip_jax.pretrain --data=PAIRS --output=WEIGHTS --architecture=tiny

The pairs are made by `animal-clip convert-pairs`. The output is for `config.init_from`, or for
`config.animals.weights`.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.errors import UserError
from animal_clip_jax.run_arguments import RUN_AGAIN


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip pretrain`; returns the exit code."""
    parser = Parser(
        "pretrain",
        usage="--data=PAIRS --output=WEIGHTS [options]",
        summary="Trains an image-text model on pictures and texts (docs/pretraining.md).\n"
        "Interrupted, it goes on when the same command is run again.",
        examples=(
            "animal-clip pretrain --data=data/pairs --output=weights/mine \\",
            "  --architecture=tiny --steps=600 --learning_rate=2e-3",
        ),
    )
    add, positive, rate = parser.add_argument, numeric(int, least=1), numeric(float)
    add("--data", metavar="PAIRS", required=True, help="folder of `animal-clip convert-pairs`")
    add("--output", metavar="WEIGHTS", required=True, help="folder to write the weights to")
    add("--overwrite", action="store_true", help="replace weights that are there")
    add("--workdir", metavar="DIR", help="checkpoints and figures (OUTPUT.pretraining)")
    add("--architecture", metavar="NAME", help="of the towers, such as ViT-B/32, or tiny")
    add("--init_from", metavar="WEIGHTS", default="", help="a CLIP to go on from")
    add("--steps", metavar="N", type=positive, default=10_000, help="batches (10000)")
    add("--batch_size", metavar="N", type=int, default=256, help="pairs in a batch (256)")
    add("--learning_rate", metavar="RATE", type=rate, default=5e-4, help="the highest (5e-4)")
    add("--weight_decay", metavar="W", type=rate, default=0.02, help="of matrices (0.02)")
    add("--seed", metavar="N", type=numeric(int), default=0, help="another one, other weights (0)")
    add("--mirror", action="store_true", help="mirror half of the pictures")
    add("--labels", metavar="CSV", help="label,text: how labels of held-out pictures look")
    rare = parser.add_rare
    page = "docs/pretraining.md"
    rare("--train_split", page=page, default="train")
    rare("--test_split", page=page, default="test")
    rare("--dtype", page=page, choices=("float32", "bfloat16"), default="float32")
    rare("--fsdp", page=page, type=positive, default=1)
    rare("--log_every", page=page, type=positive, default=20)
    rare("--save_every", page=page, type=positive, default=500)
    rare("--profile", page=page, action="store_true")
    return command_line.run(lambda: _pretrain(parser.parse(arguments)), if_interrupted=RUN_AGAIN)


def _pretrain(options: argparse.Namespace) -> None:
    if bool(options.architecture) == bool(options.init_from):
        raise UserError(
            "expected one of --architecture, to begin with random weights, and --init_from, whose "
            "architecture is known; "
            + ("both are given" if options.architecture else "neither is given")
        )
    # Imported here, as everything heavy: a mistyped flag is answered at once.
    from animal_clip_jax.run.compiled_programs import keep_compiled_programs
    from animal_clip_jax.run.pretraining import pretrain
    from animal_clip_jax.run.pretraining_settings import CHOICES, Settings, Surroundings
    from data_pipeline.batches.freed_memory import keep_freed_memory

    if options.architecture:
        command_line.one_of(options.architecture, CHOICES, what="architecture")
    command_line.need("tensorflow")
    keep_freed_memory()
    keep_compiled_programs()
    settings = Settings(
        architecture=options.architecture or "",
        init_from=options.init_from,
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        seed=options.seed,
        mirror=options.mirror,
        dtype=options.dtype,
        train_split=options.train_split,
    )
    surroundings = Surroundings(
        data=options.data,
        output=options.output,
        workdir=options.workdir or f"{options.output.rstrip(os.sep)}.pretraining",
        overwrite=options.overwrite,
        test_split=options.test_split,
        labels=options.labels,
        fsdp=options.fsdp,
        log_every=options.log_every,
        save_every=options.save_every,
        profile=options.profile,
    )
    print(pretrain(settings, surroundings))


if __name__ == "__main__":
    sys.exit(main())
