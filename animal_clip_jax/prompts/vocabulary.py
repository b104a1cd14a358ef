"""Other actions and animals than those that a model was trained on."""

from collections.abc import Sequence

import numpy as np


def carry_over(
    table: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    new_rows: Sequence[str],
    new_columns: Sequence[str],
) -> np.ndarray:
    """A table for other labels: its value where both names are known, 0 elsewhere.

    Args:
        table: (rows, columns).
        rows, columns: its labels.
        new_rows, new_columns: the labels of the result.

    Returns:
        (new_rows, new_columns) of the same dtype.
    """
    result = np.zeros((len(new_rows), len(new_columns)), table.dtype)
    row_of = {name: index for index, name in enumerate(rows)}
    column_of = {name: index for index, name in enumerate(columns)}
    known_rows = [index for index, name in enumerate(new_rows) if name in row_of]
    known_columns = [index for index, name in enumerate(new_columns) if name in column_of]
    source_rows = [row_of[new_rows[index]] for index in known_rows]
    source_columns = [column_of[new_columns[index]] for index in known_columns]
    result[np.ix_(known_rows, known_columns)] = table[np.ix_(source_rows, source_columns)]
    return result
