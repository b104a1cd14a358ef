"""Converts a checkpoint: `animal-clip convert --source=ViT-B-16.pt --output=weights`.

Sources: OpenAI CLIP archives and state dicts, X-CLIP and Animal-CLIP `.pth`, OpenCLIP and Hugging
Face folders, models of Hugging Face's hub by name, checkpoints of this project, and, where --to
says what they hold, files of PySlowFast, Caffe2, Efficient-Prompt and EVL. Destinations: a
checkpoint of this project (--output), a torch file with the published keys (--to_torch), or both.
"""

import argparse
import sys
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.conversion.conversion import check_torch_destination, convert
from animal_clip_jax.conversion.report import PhaseLine, summary, write
from animal_clip_jax.conversion.weights import check_destination
from animal_clip_jax.errors import UserError
from animal_clip_jax.models.description import FAMILIES

_DIMENSIONS = {
    "num_frames": "frames a clip, for a source without a video tower",
    "integration_layers": "layers of the multi-frame integration, for a source without",
    "prompt_layers": "layers of the prompt generators, for a source without",
    "graph_width": "hidden width of the relation graph, for a source without",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip convert`; returns the exit code."""
    parser = Parser(
        "convert",
        usage="--source=PATH --output=DIR [options]",
        summary="Converts a checkpoint: OpenAI CLIP archives and state dicts, X-CLIP and\n"
        "Animal-CLIP .pth, OpenCLIP and Hugging Face folders, names of models on Hugging\n"
        "Face, and our own weights.",
        examples=(
            "animal-clip convert --source=ViT-B-16.pt --to=animal_clip --output=weights/b16",
            "animal-clip convert --source=hf-hub:imageomics/bioclip --output=bioclip",
        ),
    )
    add = parser.add_argument
    add(
        "--source",
        metavar="PATH",
        required=True,
        help="checkpoint: a file, folder or name",
    )
    add("--output", metavar="DIR", help="folder to write, for config.init_from")
    add("--to_torch", metavar="FILE", help="torch file to write, with the published keys")
    add("--to", choices=FAMILIES, help="model to make; by default the source's own")
    for name, purpose in _DIMENSIONS.items():
        add(f"--{name}", metavar="N", type=numeric(int, least=1), help=purpose)
    add("--preset", metavar="NAME", default="", help="dimensions of a baseline, such as X3D-M")
    add("--clip", metavar="DIR", help="our CLIP, for a VideoPrompt or EVL without its own")
    add(
        "--activation",
        choices=("quick_gelu", "gelu"),
        help="of a source that does not say (quick_gelu)",
    )
    add("--seed", metavar="N", type=int, default=0, help="of the first values of what is lacking")
    add(
        "--allow_missing",
        metavar="PATTERN",
        action="append",
        default=[],
        help="keys (*, ?) that the source may lack; may be repeated",
    )
    add(
        "--allow_unused",
        metavar="PATTERN",
        action="append",
        default=[],
        help="unknown keys (*, ?) to leave out; may be repeated",
    )
    add(
        "--allow_nonfinite",
        action="store_true",
        help="convert values that are NaN or infinite, too",
    )
    add("--overwrite", action="store_true", help="replace what is at the destination")
    return command_line.run(lambda: _convert(parser.parse(arguments)))


def _convert(options: argparse.Namespace) -> None:
    if not (options.output or options.to_torch):
        raise UserError("missing: --output or --to_torch; see animal-clip convert -h")
    # Refused first: reading and building may take a minute.
    if options.output:
        check_destination(options.output, overwrite=options.overwrite)
    if options.to_torch:
        command_line.need("torch")
        check_torch_destination(options.to_torch, overwrite=options.overwrite)
    given = {name: getattr(options, name) for name in _DIMENSIONS}
    with PhaseLine() as line:
        conversion = convert(
            options.source,
            family=options.to,
            dimensions={name: value for name, value in given.items() if value is not None},
            activation=options.activation,
            preset=options.preset,
            clip=options.clip,
            seed=options.seed,
            allow_missing=options.allow_missing,
            allow_unused=options.allow_unused,
            allow_nonfinite=options.allow_nonfinite,
            show=line.show,
        )
        line.show("writing")
        written = write(
            conversion,
            options.source,
            output=options.output,
            to_torch=options.to_torch,
            overwrite=options.overwrite,
        )
    print(f"{summary(conversion)}\n{written}")


if __name__ == "__main__":
    sys.exit(main())
