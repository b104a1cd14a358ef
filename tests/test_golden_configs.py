"""What every file of `configs/` says, field by field, as it was agreed on.

After a change that is meant: `python -m tests.test_golden_configs` writes the texts anew; look at
what changed in them before it is committed.
"""

import importlib
import pathlib

import pytest
from ml_collections import ConfigDict

from animal_clip_jax.run.config import problems_in_training
from animal_clip_jax.run.start import as_published

ROOT = pathlib.Path(__file__).parent.parent
GOLDEN = pathlib.Path(__file__).parent / "golden_configs"
NAMES = sorted(path.stem for path in (ROOT / "configs").glob("[!_]*.py"))


def lines_of(config: ConfigDict, prefix: str = "") -> list[str]:
    """One `name = value` a leaf, in the order of the names."""
    lines = []
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            lines += lines_of(value, f"{prefix}{name}.")
        else:
            lines.append(f"{prefix}{name} = {value!r}")
    return sorted(lines)


def resolved(name: str) -> str:
    """The configuration of `configs/{name}.py` as a text, with what it leaves open as published."""
    config = as_published(importlib.import_module(f"configs.{name}").get_config())
    return "\n".join(lines_of(config)) + "\n"


def write_all() -> None:
    """Replaces every text by what the configurations say now."""
    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.glob("*.txt"):
        path.unlink()
    for name in NAMES:
        (GOLDEN / f"{name}.txt").write_text(resolved(name))


def changes(found: str, expected: str) -> str:
    """The lines that only one of two texts has."""
    ours, theirs = found.splitlines(), expected.splitlines()
    lines = [f"- {line}" for line in theirs if line not in ours]
    return "\n".join(lines + [f"+ {line}" for line in ours if line not in theirs])


def test_every_configuration_has_its_text():
    assert NAMES and sorted(path.stem for path in GOLDEN.glob("*.txt")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_says_what_was_agreed_on(name):
    found, expected = resolved(name), (GOLDEN / f"{name}.txt").read_text()
    assert found == expected, (
        f"configs/{name}.py is not what {GOLDEN / name}.txt holds:\n{changes(found, expected)}\n"
        "If that is meant, run `python -m tests.test_golden_configs` and commit what it writes."
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_can_be_trained_with(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    assert problems_in_training(config) == []


if __name__ == "__main__":
    write_all()
