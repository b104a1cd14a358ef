"""The class of every animal of a converted Animal Kingdom folder, from its workbook, as a CSV file.

    python -m data_pipeline.annotations.animal_kingdom_taxonomy --workbook=AR_metadata.xlsx \\
      --column="Parent Class" --dataset=data/animal_kingdom --output=taxonomy.csv

The file is what `config.relation.taxonomy` reads: the header `animal,class`, then a row for each
label; the class of an animal that the workbook does not have is empty, and it inherits nothing. For
other data sets, write it by hand.
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
from animal_clip_jax.errors import quoted
from animal_clip_jax.files import as_local_path, write_whole
from data_pipeline.annotations.animal_kingdom_xlsx import ANIMAL_ALIASES, read_animal_classes
from data_pipeline.annotations.label_files import Spelling
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.dataset import load_info


def write_taxonomy(
    workbook: Path, column: str, animal_names: Sequence[str], output: str | os.PathLike
) -> tuple[str, ...]:
    """Writes the class of every label, an empty one for those that the workbook does not have.

    Args:
        workbook: `AR_metadata.xlsx`, whose sheet `Animal` may spell the labels in another case.
        column: of that sheet, holds the classes.
        animal_names: the labels, in order.
        output: the CSV file.

    Returns:
        the labels without a class.

    Raises:
        AnnotationError: the sheet or the column is missing, an animal has two classes, or no label
            has any; nothing is written then.
        UserError: the workbook cannot be read, or the output not written.
    """
    classes = read_animal_classes(workbook, column)
    spelling = Spelling(tuple(classes))
    found = {
        name: classes.get(spelling.of(ANIMAL_ALIASES.get(name.casefold(), name)))
        or classes.get(spelling.of(name), "")
        for name in animal_names
    }
    missing = tuple(name for name, of_animal in found.items() if not of_animal)
    if len(missing) == len(found):
        example = f", {quoted(missing[0])} for instance" if missing else ""
        raise AnnotationError(
            f"{workbook}, sheet Animal: none of the {len(found)} animals of the data set has a "
            f"{column.casefold()} there{example}; is it another data set?"
        )
    text = io.StringIO()
    csv.writer(text).writerows([("animal", "class"), *found.items()])
    write_whole(output, text.getvalue())
    return missing


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
    names = info.animal_names
    missing = write_taxonomy(workbook, options.column, names, options.output)
    print(f"{options.output}: the class of {len(names) - len(missing)} of {len(names)} animals")
    if missing:
        print(
            f"without one in the sheet Animal, so that they inherit nothing: {', '.join(missing)}"
        )


if __name__ == "__main__":
    sys.exit(main())
