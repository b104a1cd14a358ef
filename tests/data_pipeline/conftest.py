"""One converted dataset for all tests of the data pipeline."""

from pathlib import Path

import pytest
from made_dataset import convert_lote, make_source


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    return make_source(tmp_path_factory.mktemp("lote"))


@pytest.fixture(scope="session")
def dataset(source, tmp_path_factory) -> Path:
    """The converted dataset: not to be changed, copy it for that."""
    output = tmp_path_factory.mktemp("converted") / "lote"
    convert_lote(source, output)
    return output
