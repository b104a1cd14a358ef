"""The commands before they do anything: help, mistakes, the installation, being stopped."""

import argparse
import multiprocessing
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap

import pytest
import tiny_run
from tensorflow import errors as tf_errors

from animal_clip_jax import __main__ as animal_clip
from animal_clip_jax import command_line
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.run import config_flags
from animal_clip_jax.run_commands import main as main_py
from data_pipeline.synthetic.__main__ import main as synthetic

COMMANDS = sorted(set(animal_clip._COMMANDS) - {"describe", "export"})


@pytest.fixture
def in_the_clone(monkeypatch):
    monkeypatch.chdir(tiny_run.ROOT)


def said(capsys, code: int) -> str:
    """The one line of an error, checked to be one."""
    assert code == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ") and not captured.out
    return line


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_fits_a_screen_and_has_an_example(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        animal_clip.main([name, "-h"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 80
    assert f"  animal-clip {name} " in "\n".join(lines[lines.index("example:") :])
    # Flags that the help only names are explained on the page that it names.
    text = " ".join(lines)
    more = text[text.index("more:") : text.index("example:")] if "more:" in lines else ""
    for flags, page in re.findall(r"([^;(]+) \((docs/[\w.]+)\)", more):
        explained = (pathlib.Path(__file__).parents[1] / page).read_text()
        assert all(flag in explained for flag in re.findall(r"--\w+", flags))


def test_the_help_of_main_py_names_the_fields_and_how_to_list_them(capsys):
    with pytest.raises(SystemExit):
        main_py(["--help"])
    text = capsys.readouterr().out
    assert "--config.FIELD=VALUE" in text and "--list_fields" in text and len(text.split("\n")) < 40


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_without_arguments_says_what_is_missing(name, capsys):
    line = said(capsys, animal_clip.main([name]))
    assert "missing: " in line


@pytest.mark.parametrize("name", COMMANDS)
def test_a_misspelt_flag_is_said_first_with_the_right_one(name, capsys):
    flag = {
        **dict.fromkeys(("train", "evaluate", "predict", "estimate", "calibrate"), "--confg"),
        "inspect": "--sheat",
    }.get(name, "--outptu")
    line = said(capsys, animal_clip.main([name, f"{flag}=x"]))
    right = {"--confg": "--config", "--sheat": "--sheet", "--outptu": "--output"}[flag]
    assert f"there is no flag {flag}; did you mean {right}?" in line


def test_a_misspelt_command_is_said_with_the_right_one(capsys):
    assert "did you mean predict?" in said(capsys, animal_clip.main(["predct"]))
    assert "no command is given; expected one of predict" in said(capsys, animal_clip.main([]))
    # Not what was typed, where that is a file in place of a folder.
    line = said(capsys, animal_clip.main(["evaluate", "README.md"]))
    assert "did you mean" not in line


@pytest.mark.parametrize("form", [["{}=ViT-B/32"], ["{}", "ViT-B/32"]])
def test_an_architecture_by_name_in_either_form_of_a_flag(form, capsys, in_the_clone):
    arguments = [text.format("--config.model.architecture") for text in form]
    assert main_py(["--config=configs/default.py", *arguments, "--list_fields"]) == 0
    assert "--config.model.architecture.patch_size=32\n" in capsys.readouterr().out


def test_the_fields_of_a_run_can_be_listed_without_a_video(run, capsys):
    assert animal_clip.main(["predict", str(run), "--list_fields"]) == 0
    assert "--config.predict.top_k=" in capsys.readouterr().out
    assert "missing: VIDEO" in said(capsys, animal_clip.main(["predict", str(run)]))


def test_a_script_of_the_data_pipeline_answers_alike(capsys, tmp_path):
    assert "did you mean --output?" in said(capsys, synthetic([f"--ouput={tmp_path}"]))
    line = said(capsys, synthetic([f"--output={tmp_path}", "--size=big"]))
    assert "--size: 'big' is not a whole number" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.epoch=3"], "no field config.epoch; did you mean config.epochs?"),
        (["--config.directory=x"], "no field config.directory; did you mean config.data.directory"),
        (["--config.data=x"], "config.data is a group of fields, such as config.data."),
        (["--config.batch_size=half"], "--config.batch_size=half: expected a whole number from"),
        (["--config.data.flip=perhaps"], "--config.data.flip=perhaps: expected True or False"),
        (["--config=configs/dmo.py"], "there is no such file; expected a configuration"),
        (["--config=configs/dmo.py"], "did you mean configs/demo.py?"),
        (["--config=configs"], "configs is a folder; expected a configuration"),
        (["--config=README.md"], "README.md: expected a Python file with get_config()"),
        (["--mode=evalute"], "'train', 'evaluate', 'predict'"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(
    arguments, message, capsys, tmp_path, in_the_clone
):
    code = main_py(["--config=configs/demo.py", f"--workdir={tmp_path / 'run'}", *arguments])
    assert message in said(capsys, code)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def get_config(:\n", ": line 1: SyntaxError: "),
        ("def get_config():\n    return nothing\n", ": line 2: NameError: name 'nothing'"),
        ("", "has no function get_config()"),
        ("def get_config():\n    return 3\n", "get_config() returns int, not a ConfigDict"),
    ],
)
def test_a_broken_configuration_of_ones_own_is_one_line(content, message, capsys, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(content)
    line = said(capsys, main_py([f"--config={file}", f"--workdir={tmp_path / 'run'}"]))
    assert str(file) in line and message in line


def test_fields_are_read_as_the_kind_that_they_are(in_the_clone):
    config = config_flags.with_fields(
        config_flags.read_config_file("configs/demo.py"),
        [
            *("--config.epochs=3", "--config.optimizer.learning_rate=1e-4"),
            *("--config.data.flip=false", "--noconfig.model.refinement"),
            *("--config.evaluation.animal_sources=('none',)", "--config.data.directory=a=b"),
        ],
    )
    assert config.epochs == 3 and config.optimizer.learning_rate == 1e-4
    assert config.data.flip is False and config.model.refinement is False
    assert config.evaluation.animal_sources == ("none",) and config.data.directory == "a=b"
    with pytest.raises(AttributeError):
        config.epoch = 3


def test_a_configuration_is_found_from_any_folder(tmp_path, monkeypatch):
    """A file of configs/ imports its neighbours, wherever the command runs."""
    monkeypatch.chdir(tmp_path)
    assert config_flags.read_config_file(tiny_run.ROOT / "configs" / "demo.py").batch_size == 16


def test_the_configuration_of_a_run_is_one_for_another(run):
    config = config_flags.read_config_file(run / "config.json")
    assert config.model.num_frames == 4 and config.epochs == 2


def test_a_list_of_fields_can_be_given_back(capsys, in_the_clone):
    assert main_py(["--config=configs/demo.py", "--list_fields", "--config.epochs=7"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("--config.")]
    assert "--config.epochs=7" in lines
    # As a shell reads them.
    fields = [line.replace('"', "") for line in lines]
    config = config_flags.read_config_file("configs/demo.py")
    config.epochs = 7
    again = config_flags.with_fields(config_flags.read_config_file("configs/demo.py"), fields)
    assert again.to_dict() == config.to_dict()


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert-videos", "--dataset=csv", "--source=tests/clips.csv", "--output={folder}"],
        ["train", "--config=configs/demo.py", "--workdir={folder}"],
    ],
)
def test_what_an_extra_brings_is_named_with_the_command_that_installs_it(
    arguments, capsys, tmp_path, monkeypatch, in_the_clone
):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if it were not installed
    (tmp_path / "clips.csv").write_text("video,animals,actions\n")
    arguments = [argument.format(folder=tmp_path / "new") for argument in arguments]
    arguments = [argument.replace("tests/", f"{tmp_path}/") for argument in arguments]
    line = said(capsys, animal_clip.main(arguments))
    assert "this needs tensorflow, which is not installed: pip install" in line
    assert "pip install '.[data]'" in line and not (tmp_path / "new").exists()


def test_a_module_that_no_extra_brings_is_a_defect():
    def command():
        raise ModuleNotFoundError("No module named 'nothing'", name="nothing")

    with pytest.raises(ModuleNotFoundError):
        command_line.run(command)


def test_errors_have_exit_codes_of_their_own(capsys, tmp_path):
    (tmp_path / "clip.mp4").touch()

    def raises(error):
        def command():
            raise error

        return command_line.run(command)

    assert raises(UserError("two\nlines")) == 2
    assert capsys.readouterr().err == "error: two lines\n"
    assert raises(MissingFileError("no clop.mp4", tmp_path / "clop.mp4")) == 2
    assert f"no clop.mp4; did you mean {tmp_path / 'clip.mp4'}?" in capsys.readouterr().err
    assert raises(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "error: stopped by Ctrl-C; nothing was written\n"
    assert raises(PermissionError(13, "Permission denied", "/folder")) == 2
    assert capsys.readouterr().err == "error: /folder: Permission denied\n"
    unreachable = tf_errors.UnavailableError(None, None, "no host\nfor gs://bucket/data")
    assert raises(unreachable) == 2
    assert "cannot be reached: no host for gs://bucket/data\n" in capsys.readouterr().err
    with pytest.raises(tf_errors.InternalError):
        raises(tf_errors.InternalError(None, None, "a defect"))
    with pytest.raises(ValueError, match="a defect"):
        raises(ValueError("a defect"))


def test_output_that_nobody_reads_to_the_end_is_no_mistake(monkeypatch, capsys):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert command_line.run(lambda: print("an answer")) == 141
        stdout.flush()  # as the process ends
    assert not capsys.readouterr().err


def test_a_pipe_to_another_process_that_breaks_is_a_defect():
    def command():
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        command_line.run(command)


def test_processes_that_were_started_end_with_ctrl_c(capsys):
    """Or the program would wait for them, and they for work."""
    spawning = multiprocessing.get_context("spawn")
    never = spawning.Event()

    def command():
        spawning.Process(target=never.wait).start()
        raise KeyboardInterrupt

    assert command_line.run(command) == command_line.CTRL_C
    for child in multiprocessing.active_children():
        child.join(60)
        assert not child.is_alive()


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many"])
def test_numbers_of_flags_are_checked(text):
    with pytest.raises(argparse.ArgumentTypeError):
        command_line.numeric(float, above=0)(text)
    with pytest.raises(argparse.ArgumentTypeError):
        command_line.numeric(int, least=1)(text)


@pytest.mark.parametrize("text", ["9", "9" * 4000])
def test_numbers_of_flags_have_a_largest(text):
    assert command_line.numeric(int, most=9)("9") == 9
    with pytest.raises(argparse.ArgumentTypeError, match="is more than 8, the most") as error:
        command_line.numeric(int, most=8)(text)
    assert len(str(error.value)) < 300


def test_ctrl_c_ends_a_prediction_at_once_and_without_a_word():
    program = textwrap.dedent("""
        import signal
        from animal_clip_jax.command_line import ended_at_once_by_ctrl_c
        with ended_at_once_by_ctrl_c():
            print("ready", flush=True)
            while True:
                signal.pause()
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tiny_run.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGINT and not errors


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    """The first is only noticed; the process would wait for its step for ever."""
    program = textwrap.dedent("""
        import signal
        from animal_clip_jax.run.interruption import InterruptionNotice
        with InterruptionNotice() as notice:
            print("ready", flush=True)
            while not notice.is_due():
                signal.pause()
            print("noticed", flush=True)
            while True:
                signal.pause()
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tiny_run.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "noticed\n"
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGINT
    assert "Ctrl-C again ends at once" in errors and "Traceback" not in errors


def test_what_a_storage_says_too_late_is_not_shown(capsys, monkeypatch):
    class Late:
        def __init__(self, message):
            self.message = message

        def __del__(self):
            raise RuntimeError(self.message)

    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back afterwards
    assert command_line.run(lambda: None) == 0
    Late("Event loop is closed")
    assert not capsys.readouterr().err
    Late("anything else")
    assert "RuntimeError: anything else" in capsys.readouterr().err
