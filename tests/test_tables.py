import numpy as np
import pytest

from animal_clip_jax.tables import format_table


def test_table_of_one_result():
    lines = format_table({"clips": 6096, "mAP": 0.305512}, title="test").splitlines()
    assert lines[0] == "test"
    cells = [line.split() for line in lines]
    assert ["metric", "value"] in cells
    assert ["clips", "6096"] in cells
    assert ["mAP", "0.3055"] in cells
    assert lines[-1].index("0.3055") + 6 == lines[-2].index("6096") + 4  # Flush right.


def test_table_of_several_results():
    lines = format_table([{"run": "a", "top1": 0.5}, {"run": "b", "top5": np.float32(1)}])
    cells = [line.split() for line in lines.splitlines()]
    assert cells[0] == ["run", "top1", "top5"]
    assert cells[-2:] == [["a", "0.5000"], ["b", "1.0000"]]


def test_table_shows_names_as_they_are_and_in_full():
    name = "[bold]lion[/bold] :smile: " + "x" * 300
    text = format_table([{"class": name, "AP": float("nan")}])
    assert name in text
    assert "nan" not in text
    assert "\x1b" not in text


def test_empty_table_is_refused():
    with pytest.raises(ValueError, match="no values"):
        format_table({})
