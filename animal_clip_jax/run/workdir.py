"""The folder of a run: what lies where (see `README`), and whose it is.

Nothing that a run needs later lies outside, but for the data and for a recogniser of animals, which
are recorded.
"""

import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import cannot_write, is_file, read_json_object, write_whole
from animal_clip_jax.run.inputs import Input
from animal_clip_jax.run.schema import from_json
from animal_clip_jax.version import VERSION as PROGRAM_VERSION

VERSION = 2
CONFIG_FILE, RECORD_FILE, README_FILE = "config.json", "run.json", "README.txt"
CALIBRATION_FILE = "calibration.json"
# In the folder of a pretraining, which is none of a run.
PRETRAINING_FILE = "pretraining.json"
# What lies in a workdir, for whoever finds one; written into it.
README = """\
A training run of animal_clip_jax. It is complete by itself: copied to another
machine, it predicts, and is trained further where its data is too.

  config.json        the configuration that it was trained with
  run.json           what it was made from (paths and SHA-256 digests of data,
                     weights and texts), and by which version of the program
  checkpoints/       the trained model, a folder for each step that is kept:
                     the newest, and the best where one is chosen
  evaluated.json     the figure of every step that the best is chosen by
  evaluations/NAME/  an evaluation: report.txt to read, metrics.json for other
                     programs, per_class.csv with a line for each action,
                     per_clip.csv with one for each clip
  calibration.json   how sure its answers are to be taken, from
                     `animal-clip calibrate`
  metrics.jsonl      a line for every few steps (loss, learning rate, speed)
                     and for every evaluation during the training
  tensorboard/       curves and sample clips: tensorboard --logdir=THIS_FOLDER
  parameters.txt     every array of the model: its shape, how it is trained
  image_features/    what the model that recognises animals makes of each clip,
                     kept so that it need not be computed again
  linear_probe.npz   what was learned to recognise this data set's animals
  profile/           a trace of a few steps, with config.profile

Some of them are there only if the run needs them. To delete the run, delete
the folder. More is in the program's documentation, docs/training.md.
"""


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What a run says of itself beside its configuration.

    Attributes:
        inputs: what it was made from, by field of the configuration.
        program: version and commit of this program when the run began.
        extended: how its schedule was made longer: {"step", "epochs", "to"} each time.
    """

    inputs: dict[str, Input]
    program: str = ""
    extended: tuple[dict[str, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries, lists, texts and numbers."""
        return {
            "version": VERSION,
            "program": self.program,
            "inputs": {name: dataclasses.asdict(given) for name, given in self.inputs.items()},
            "extended": list(self.extended),
        }


def check_is_run(folder: epath.Path) -> None:
    """Makes sure that a folder is that of a run.

    Raises:
        MissingFileError: there is no such folder.
        UserError: it is something else.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: there is no such folder; expected that of a run", folder)
    if (folder / PRETRAINING_FILE).exists():
        raise UserError(
            f"{folder} is the folder of a pretraining, not of a run; give the weights that it wrote"
        )
    if not (folder / CONFIG_FILE).exists() and not (folder / "checkpoints").is_dir():
        raise UserError(
            f"{folder}: not the folder of a run: it has neither {CONFIG_FILE} nor checkpoints; "
            "train first"
        )


def check_is_free(folder: epath.Path) -> None:
    """Makes sure that a training may write into a folder: there is a run in it, or nothing.

    Hidden files do not count.

    Raises:
        UserError: it is a file, or holds something else; names some of it.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(
            f"--workdir: {folder} is a file; expected the folder of a run, or a new one"
        )
    names = sorted(path.name for path in folder.iterdir())
    if PRETRAINING_FILE in names:
        raise UserError(f"--workdir: {folder} is that of a pretraining; choose another folder")
    if {CONFIG_FILE, RECORD_FILE, "checkpoints"} & set(names):
        return
    # A run that was killed as it began has left files half written.
    strange = [
        name
        for name in names
        if not name.startswith((".", CONFIG_FILE, RECORD_FILE)) and name != "lost+found"
    ]
    if strange:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise UserError(
            f"--workdir: {folder} is not empty and holds no run, but {', '.join(strange[:3])}"
            f"{more}; choose another folder"
        )


def read_config(workdir: epath.Path) -> ConfigDict | None:
    """The configuration of the run in a folder, as one of this version; None if it holds no run.

    Raises:
        UserError: the file is damaged; names it.
    """
    path = workdir / CONFIG_FILE
    if not path.exists():
        return None
    if not is_file(path):
        raise UserError(f"{path} is no file; expected one of JSON")
    try:
        return from_json(path.read_text())
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def read_record(workdir: epath.Path) -> RunRecord:
    """What the run in a folder says of itself; of a run older than that, that it knows nothing.

    Raises:
        UserError: the file is damaged, or of a newer version of this program; names it.
    """
    path = workdir / RECORD_FILE
    if not path.exists():
        return RunRecord({})
    content = read_json_object(path)
    version = _of_type(content, "version", int, path)
    check_version(version, path)
    inputs = {}
    for name, given in _of_type(content, "inputs", dict, path).items():
        where = f"inputs.{name}"
        if not isinstance(given, dict):
            raise _wrong_type(path, where, given, dict)
        inputs[name] = Input(
            *(_of_type(given, part, str, path, where) for part in ("path", "digest"))
        )
    extended = _of_type(content, "extended", list, path)
    for index, change in enumerate(extended):
        if not isinstance(change, dict):
            raise _wrong_type(path, f"extended[{index}]", change, dict)
        for part in ("step", "epochs", "to"):
            _of_type(change, part, int, path, f"extended[{index}]")
    return RunRecord(inputs, _of_type(content, "program", str, path), tuple(extended))


def check_version(version: int, path: epath.Path) -> None:
    """Raises UserError if a file is of a newer version than this program reads."""
    if version > VERSION:
        raise UserError(
            f"{path} is of version {version}, made by a newer animal_clip_jax; this one "
            f"({PROGRAM_VERSION}) reads up to version {VERSION}: update it"
        )


def _of_type(
    content: Mapping[str, Any], key: str, expected: type, path: epath.Path, where: str = ""
) -> Any:
    """The value of a key, of the type that it must have."""
    place = f"{where}.{key}" if where else key
    if key not in content:
        raise UserError(f"{path} is damaged: {place} is missing")
    value = content[key]
    if not isinstance(value, expected) or isinstance(value, bool):
        raise _wrong_type(path, place, value, expected)
    return value


def _wrong_type(path: epath.Path, place: str, value: object, expected: type) -> UserError:
    names = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}
    return UserError(
        f"{path} is damaged: {place} is {repr(value)[:80]}, expected {names[expected]}"
    )


def claim(config: ConfigDict, workdir: epath.Path, inputs: Mapping[str, Input]) -> None:
    """Records a new run in its folder.

    Args:
        config: with absolute paths.
        inputs: what the run is made from.

    Raises:
        UserError: the folder cannot be made or written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(workdir, error) from error
    write_record(workdir, RunRecord(dict(inputs), program()))
    write_config(workdir, config)


def explain(workdir: epath.Path) -> None:
    """Writes `README.txt`, which says what lies in the folder, unless there is one."""
    if not (workdir / README_FILE).exists():
        write_whole(workdir / README_FILE, README)


def write_config(workdir: epath.Path, config: ConfigDict) -> None:
    """Writes `config.json`."""
    write_whole(workdir / CONFIG_FILE, json.dumps(config.to_dict(), indent=2) + "\n")


def write_record(workdir: epath.Path, record: RunRecord) -> None:
    """Writes `run.json`."""
    write_whole(workdir / RECORD_FILE, json.dumps(record.to_json(), indent=2) + "\n")


def program() -> str:
    """Version of this program, and its commit where it is in a repository."""
    revision = git_revision()
    return f"animal_clip_jax {PROGRAM_VERSION}{f' {revision}' if revision else ''}"


def git_revision() -> str:
    """The commit of this code, "" where it is not in a repository."""
    folder = pathlib.Path(__file__).parent
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return result.stdout.strip()
