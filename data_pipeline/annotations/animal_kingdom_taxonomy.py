"""The class of every animal of a converted Animal Kingdom folder, from its workbook, as a CSV file.

    python -m data_pipeline.annotations.animal_kingdom_taxonomy --workbook=AR_metadata.xlsx \\
      --column="Parent Class" --dataset=data/animal_kingdom --output=taxonomy.csv

The file is what `config.relation.taxonomy` reads: the header `animal,class`, then a row for each
label. For other data sets, write it by hand.
"""

import argparse
import csv
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser
from animal_clip_jax.files import as_local_path, write_whole
from data_pipeline.annotations.animal_kingdom_xlsx import read_animal_classes
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.dataset import load_info


def write_taxonomy(
    workbook: Path, column: str, animal_names: Sequence[str], output: str | os.PathLike
) -> None:
    """Writes the class of every label.

    Args:
        workbook: `AR_metadata.xlsx`, whose sheet `Animal` may spell the labels in another case.
        column: of that sheet, holds the classes.
        animal_names: the labels, in order.
        output: the CSV file.

    Raises:
        AnnotationError: the sheet or the column is missing, or labels are not in it; nothing is
            written then.
        UserError: the workbook cannot be read, or the output not written.
    """
    classes = read_animal_classes(workbook, column)
    folded = {name.casefold(): of_animal for name, of_animal in classes.items()}
    found = {name: classes.get(name) or folded.get(name.casefold()) for name in animal_names}
    missing = [name for name, of_animal in found.items() if of_animal is None]
    if missing:
        shown = ", ".join(map(repr, missing[:20]))
        more = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
        raise AnnotationError(
            f"{workbook}, sheet Animal: {len(missing)} of the {len(animal_names)} animals of the "
            f"data set are not there: {shown}{more}"
        )
    text = io.StringIO()
    csv.writer(text).writerows([("animal", "class"), *found.items()])
    write_whole(output, text.getvalue())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        "",
        usage="--workbook=XLSX --column=NAME --dataset=DATA --output=CSV",
        summary="Writes the class of every animal of Animal Kingdom, from its workbook.",
        examples=(
            "python -m data_pipeline.annotations.animal_kingdom_taxonomy \\",
            '  --workbook=AR_metadata.xlsx --column="Parent Class" \\',
            "  --dataset=data/animal_kingdom --output=taxonomy.csv",
        ),
    )
    parser.prog = "python -m data_pipeline.annotations.animal_kingdom_taxonomy"
    parser.add_argument("--workbook", metavar="XLSX", required=True, help="AR_metadata.xlsx")
    parser.add_argument("--column", metavar="NAME", required=True, help="of its sheet Animal")
    parser.add_argument("--dataset", metavar="DATA", required=True, help="a converted data set")
    parser.add_argument("--output", metavar="CSV", required=True, help="the file to write")
    return command_line.run(lambda: _write(parser.parse(arguments)))


def _write(options: argparse.Namespace) -> None:
    info = load_info(options.dataset)
    workbook = as_local_path(options.workbook, "the workbook")
    write_taxonomy(workbook, options.column, info.animal_names, options.output)


if __name__ == "__main__":
    sys.exit(main())
