"""The commands and programs of README.md and docs/: that they parse, and (slow) that they run."""

import ast
import contextlib
import functools
import importlib
import io
import re
import shutil
import sys

import documented
import pytest
import run_commands
import stand_ins

from animal_clip_jax import __main__ as animal_clip
from animal_clip_jax.run.config import flat_config
from configs import default

SHELL_BLOCKS = documented.blocks("sh")
# Programs of this project, as a reader starts them.
_MODULE = re.compile(r"(animal_clip_jax|data_pipeline)(\.\w+)+")


def _own_commands() -> list[tuple[str, list[str], list[str]]]:
    """Of each command of this project: its place, the program, and its arguments."""
    found = []
    for block in SHELL_BLOCKS:
        # Also those within another command, as srun's.
        for command in documented.commands(block.text.replace("'", " ")):
            words = documented.words(command)
            for index, word in enumerate(words):
                if word == "animal-clip":
                    found.append((block.place, words[index : index + 2], words[index + 2 :]))
                    break
                if word == "-m" and _MODULE.fullmatch(words[index + 1]):
                    program = [sys.executable, "-m", words[index + 1]]
                    found.append((block.place, program, words[index + 2 :]))
                    break
    return found


@functools.cache
def _help(program: tuple[str, ...]) -> str:
    *_, name = program
    main = animal_clip.main if program[0] == "animal-clip" else importlib.import_module(name).main
    arguments = [name, "--help"] if program[0] == "animal-clip" else ["--help"]
    with contextlib.redirect_stdout(io.StringIO()) as output, pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    return output.getvalue()


def test_pages_hold_commands():
    own = _own_commands()
    assert len(own) > 30
    assert {words[1] for _, words, _ in own if words[0] == "animal-clip"} >= {
        *("train", "evaluate", "predict", "convert", "convert-videos", "inspect", "estimate"),
        *("describe", "finetune-recogniser"),
    }
    assert len(documented.pages()) == len(list((documented.ROOT / "docs").glob("*.md"))) + 1


@pytest.mark.parametrize(
    ("place", "program", "arguments"),
    [pytest.param(*own, id=f"{own[0]} {own[1][-1]}") for own in _own_commands()],
)
def test_a_command_has_the_flags_that_a_page_gives_it(place, program, arguments):
    fields = flat_config(default.get_config())
    names = [word.partition("=")[0] for word in arguments if word.startswith("-")]
    for name in names:
        if name.startswith("--config."):
            field = name.removeprefix("--config.")
            # An architecture may be named as a whole.
            assert field in fields or field == "model.architecture", f"{place}: {name}"
        elif name not in ("-h", "--help"):
            known = re.findall(r"(?<![\w-])--?[a-z][\w-]*", _help(tuple(program)))
            assert name in known, f"{place}: {' '.join(program)} has no {name}"


def test_what_commands_name_is_there():
    makefile = (documented.ROOT / "Makefile").read_text()
    setup = (documented.ROOT / "setup.py").read_text()
    for block in SHELL_BLOCKS:
        for command in documented.commands(block.text):
            for config in re.findall(r"--config=(\S+)", command):
                assert (documented.ROOT / config).is_file(), f"{block.place}: {config}"
            for target in re.findall(r"^make (\S+)", command):
                assert re.search(rf"^{target}:", makefile, re.M), f"{block.place}: make {target}"
            for extras in re.findall(r"pip install .*\.\[([\w,]+)\]", command):
                for extra in extras.split(","):
                    assert f'"{extra}":' in setup, f"{block.place}: no extra {extra!r}"


def test_links_of_files_outside_the_site_lead_somewhere():
    """`make docs` checks those of the site's pages."""
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (documented.ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (documented.ROOT / target).exists(), f"{page}: {target}"


def test_no_figure_is_left_open():
    for page in documented.pages():
        assert "TODO" not in (documented.ROOT / page).read_text(encoding="utf-8"), page


def test_programs_parse():
    blocks = documented.blocks("python")
    assert len(blocks) >= 5
    for block in blocks:
        try:
            ast.parse(block.text)
        except SyntaxError as error:
            pytest.fail(f"{block.place}: {error}")


def test_blocks_name_their_language():
    """One without would be neither run nor checked."""
    assert [block.place for block in documented.blocks("")] == []


def test_the_copy_that_they_run_in_is_small(tmp_path):
    """What it changes in the project is still there."""
    stand_ins.copy_project(tmp_path)
    assert "--steps=3 " in (tmp_path / "Makefile").read_text()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_every_command_and_program_runs(tmp_path):
    outcomes = run_commands.run_all(tmp_path, show=print)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    assert not failed, "\n\n".join(f"{one.place}: {one.what}\n{one.output}" for one in failed)
    assert sum(outcome.status == "ran" for outcome in outcomes) > 30
