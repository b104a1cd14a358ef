"""Every format that is read, damaged at random: refused in one line, or read as the same values.

`python tests/properties/count.py` shows how often which.
"""

import pytest
from damage import SILENT, TRACEBACK, Instance
from formats import FORMATS


@pytest.mark.parametrize("number", range(len(FORMATS)), ids=[of.name for of in FORMATS])
def test_a_damaged_file_is_refused_or_read_as_it_was(number, tmp_path):
    check(number, tmp_path, count=12)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(FORMATS)), ids=[of.name for of in FORMATS])
def test_many_damages(number, tmp_path):
    check(number, tmp_path, count=2000)


def check(number, folder, *, count) -> None:
    found, wrong = Instance(FORMATS[number], folder).outcomes(count)
    assert found.total() == count
    assert not found[SILENT] and not found[TRACEBACK], "\n".join(wrong[:20])
