"""Pictures and texts -> TFRecord, for `animal-clip pretrain`.

    animal-clip convert-pairs --source=pictures --output=data/pairs

The folder of pictures has a list, `pairs.csv`: see `data_pipeline.pairs.folder`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.counting_bar import counting_bar
from animal_clip_jax.errors import AlreadyThereError
from animal_clip_jax.files import as_local_path
from animal_clip_jax.whole_outputs import current
from data_pipeline.limits import MOST_SHORT_SIDE


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip convert-pairs`; returns the exit code."""
    parser = Parser(
        "convert-pairs",
        usage="--source=FOLDER --output=PAIRS [options]",
        summary="Makes training data for `animal-clip pretrain` of pictures and texts. The folder\n"
        "has a list, pairs.csv: image,text and perhaps label,split. Rows of one\n"
        "picture are several texts of it.",
        examples=("animal-clip convert-pairs --source=pictures --output=data/pairs",),
    )
    add = parser.add_argument
    add("--source", metavar="FOLDER", required=True, help="folder of pictures, with pairs.csv")
    add("--output", metavar="PAIRS", required=True, help="folder to write")
    add(
        "--short_side",
        metavar="PIXELS",
        type=numeric(int, least=1, most=MOST_SHORT_SIDE),
        default=256,
        help="larger pictures are made that small (%(default)s)",
    )
    add("--overwrite", action="store_true", help="replace pairs that are there")
    return command_line.run(lambda: _convert(parser.parse(arguments)))


def _convert(options: argparse.Namespace) -> None:
    command_line.need("tensorflow")
    from data_pipeline.pairs.folder import pairs_of, read_list
    from data_pipeline.pairs.record import Pair
    from data_pipeline.pairs.write import check_replaceable, write_pairs

    source = as_local_path(options.source, "the folder of pictures")
    output = as_local_path(options.output, "the folder of pairs")
    if current(output).exists() and not options.overwrite:
        raise AlreadyThereError(f"{output}: already exists; choose another path or --overwrite")
    check_replaceable(output)
    pictures, notes = read_list(source)
    for note in notes:
        print(f"note: {note}")
    bar = counting_bar("converting", "pictures")
    task = bar.add_task("", total=sum(map(len, pictures.values())))

    def counted(pairs: Iterator[Pair]) -> Iterator[Pair]:
        for pair in pairs:
            yield pair
            bar.advance(task)

    with bar:
        write_pairs(
            output,
            {
                split: counted(pairs_of(members, options.short_side))
                for split, members in pictures.items()
            },
            name=Path(source).resolve().name,
        )
    counts = (
        f"{split}: {len(members)} pictures, {sum(len(one.texts) for one in members)} texts"
        for split, members in pictures.items()
    )
    print("; ".join(counts))


if __name__ == "__main__":
    sys.exit(main())
