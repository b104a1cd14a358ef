"""What all commands have in common: their help, their mistakes in one line, their exit codes.

A command is a function `main(arguments) -> exit code`, made of a `Parser` and of `run`.
"""

import argparse
import contextlib
import difflib
import gc
import importlib.util
import math
import multiprocessing
import os
import re
import shutil
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from absl import logging

from animal_clip_jax.errors import Interrupted, MissingFileError, UserError, quoted, shortened

_WIDEST = 100  # columns of a help
DONE, MISTAKE, CTRL_C, STOPPED = 0, 2, 130, 75  # the last is EX_TEMPFAIL of sysexits.h
NOT_READ = 141  # as a shell says it of a program that SIGPIPE ended

# The extra of setup.py that brings a module.
_EXTRAS = {
    "tensorflow": "data",
    "tensorflow_datasets": "data",
    "openpyxl": "data",
    "matplotlib": "report",
    "torch": "torch",
    "safetensors": "torch",
    "huggingface_hub": "torch",
    "transformers": "torch",
    "openai": "descriptions",
    "tensorboardX": "tensorboard",
    "ray": "cluster",
    "libtpu": "tpu",
    "jax_cuda12_plugin": "cuda",
}


class Parser(argparse.ArgumentParser):
    """The arguments of a command; what is wrong with them is a `UserError`.

    Args:
        name: of the command, after "animal-clip".
        usage: its arguments, for the first line of its help.
        summary: what it does.
        examples: command lines, shown at the end of its help.
        takes_fields: fields of a configuration are flags too, `--config.FIELD=VALUE`.
    """

    def __init__(
        self,
        name: str,
        *,
        usage: str,
        summary: str,
        examples: Sequence[str],
        takes_fields: bool = False,
    ):
        super().__init__(
            prog=f"animal-clip {name}".rstrip(),
            usage=f"%(prog)s {usage}",
            description=summary,
            epilog="\n".join(["example:", *(f"  {example}" for example in examples)]),
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        self._takes_fields = takes_fields
        self._rare: dict[str, list[str]] = {}

    def add_rare(self, flag: str, *, page: str, **arguments: Any) -> None:
        """Adds a flag that the help only names, and a page explains.

        Args:
            flag: such as "--time_bin".
            page: such as "docs/formats.md".
            arguments: see `add_argument`.
        """
        self.add_argument(flag, help=argparse.SUPPRESS, **arguments)
        self._rare.setdefault(page, []).append(flag)

    def format_help(self) -> str:
        """The help; called by argparse."""
        width = min(_WIDEST, shutil.get_terminal_size().columns) - 2
        more = [f"{', '.join(flags)} ({page})" for page, flags in self._rare.items()]
        lines = textwrap.wrap("; ".join(more), width, break_on_hyphens=False)
        listed = "".join(f"  {line}\n" for line in lines)
        text = super().format_help()
        return text.replace("\nexample:\n", f"\nmore:\n{listed}\nexample:\n") if listed else text

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """The arguments by name; with `takes_fields`, `fields` holds "--config.FIELD=VALUE" texts.

        Args:
            arguments: of the command line; None takes those of this process.

        Raises:
            UserError: an argument is unknown, missing or wrong.
        """
        rest = list(sys.argv[1:] if arguments is None else arguments)
        fields: list[str] = []
        if self._takes_fields:
            fields, rest = _split_fields(rest)
        self._check_names(rest)
        parsed, left = self.parse_known_args(rest)
        if left:
            raise UserError(f"{left[0]!r} is one argument too many; {self._hint()}")
        if self._takes_fields:
            parsed.fields = fields
        return parsed

    def error(self, message: str):
        """Raises UserError; called by argparse."""
        missing = re.fullmatch(r"the following arguments are required: (.*)", message)
        if missing:
            message = f"missing: {missing.group(1)}"
        raise UserError(f"{message.removeprefix('argument ')}; {self._hint()}")

    def _check_names(self, arguments: Sequence[str]) -> None:
        """Before argparse looks, which would speak of what is missing instead."""
        known = list(self._option_string_actions)
        for argument in arguments:
            name = argument.partition("=")[0]
            if argument == "--":
                return
            if name.startswith("--") and name not in known:
                offered = did_you_mean(name, known)
                raise UserError(f"there is no flag {name}{offered}; {self._hint()}")

    def _hint(self) -> str:
        return f"see {self.prog} -h"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str):
        super().__init__(
            prog, max_help_position=30, width=min(_WIDEST, shutil.get_terminal_size().columns)
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """'; did you mean NAME?' with the known name that is nearest, "" if none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def one_of(name: str, known: Iterable[str], *, what: str) -> str:
    """The name, if it is known.

    Raises:
        UserError: it is not; offers the nearest and names all.
    """
    known = list(known)
    if name not in known:
        raise UserError(
            f"there is no {what} {name!r}{did_you_mean(name, known)}; expected one of "
            f"{', '.join(known)}"
        )
    return name


def numeric(
    kind: type, *, least: float = 0, above: float | None = None, most: float = math.inf
) -> Callable[[str], float]:
    """For argparse: reads a number and checks it.

    Args:
        kind: int or float.
        least: the smallest that is accepted.
        above: instead of `least`, what it must be more than.
        most: the largest that is accepted.
    """

    def read(text: str) -> float:
        expected = f"at least {least:g}" if above is None else f"more than {above:g}"
        try:
            value = kind(text)
        except ValueError as error:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{quoted(text)} is not {what}") from error
        is_in = value >= least if above is None else value > above
        # Python's whole numbers may be larger than any of its others.
        if not is_in or (kind is float and not math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"{shortened(text)} is not {expected}")
        if value > most:
            raise argparse.ArgumentTypeError(f"{shortened(text)} is more than {most}, the most")
        return value

    return read


def run(command: Callable[[], None], *, if_interrupted: str = "nothing was written") -> int:
    """Runs a command.

    A mistake of the user, a missing extra of the installation and Ctrl-C are said in one line. All
    else is a defect of this program and keeps its traceback.

    Args:
        command: does it.
        if_interrupted: what to say after Ctrl-C.

    Returns:
        the exit code.
    """
    collect_garbage_seldom()
    logging.set_verbosity(logging.FATAL)  # Orbax raises what it also logs, over pages
    sys.unraisablehook = _show_unless_late
    warnings.showwarning = _show_warning
    try:
        command()
        sys.stdout.flush()
    except MissingFileError as error:
        return _fail(str(error) + _like(error.path), MISTAKE)
    except UserError as error:
        return _fail(str(error), MISTAKE)
    except BrokenPipeError:
        if _can_print():
            raise
        return NOT_READ
    except OSError as error:
        # A full disk, a folder without permission: nothing that this program could mend.
        if error.filename is None or not error.strerror:
            raise
        return _fail(f"{error.filename}: {error.strerror}", MISTAKE)
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRAS:
            raise
        return _fail(
            f"this needs {module}, which is not installed: "
            f"pip install 'animal-clip-jax[{_EXTRAS[module]}]', or in a clone "
            f"pip install '.[{_EXTRAS[module]}]'",
            MISTAKE,
        )
    except Interrupted as notice:
        print(notice, file=sys.stderr)
        # All is saved. Ending in the usual way would wait for what the devices still compute.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(STOPPED)
    except KeyboardInterrupt:
        # A pool that was interrupted while it started leaves processes that wait for work, and this
        # one would wait for them.
        for child in multiprocessing.active_children():
            child.kill()
        return _fail(f"stopped by Ctrl-C; {if_interrupted}", CTRL_C)
    except Exception as error:
        if not _is_of_a_cloud(error):
            raise
        return _fail(f"a cloud's folder or file cannot be reached: {shortened(error)}", MISTAKE)
    return DONE


def _can_print() -> bool:
    """Whether somebody still reads what is printed: `| head` does not, once it has enough."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left to be written would be tried once more as the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


# What TensorFlow, by which URLs are opened, raises of a cloud that does not answer or does not let
# anybody in. None of them is an OSError.
_OF_A_CLOUD = frozenset(
    f"{name}Error"
    for name in ("Aborted", "FailedPrecondition", "PermissionDenied", "Unauthenticated")
    + ("DeadlineExceeded", "NotFound", "Unavailable")
)


def _is_of_a_cloud(error: Exception) -> bool:
    kind = type(error)
    return kind.__module__.startswith("tensorflow.") and kind.__name__ in _OF_A_CLOUD


# What Orbax and its storage say of arrays that they still read when another turned out damaged.
_LATE = ("Event loop is closed", "Encountered error while reading array index")


def _show_unless_late(unraisable: "sys.UnraisableHookArgs") -> None:
    """Such notes would be pages of tracebacks beside the line that says what is wrong."""
    if not str(unraisable.exc_value).startswith(_LATE):
        sys.__unraisablehook__(unraisable)


_show_others = warnings.showwarning


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Ours in one line, as errors are."""
    if category is UserWarning:
        print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)
    else:
        _show_others(message, category, filename, lineno, file, line)


def collect_garbage_seldom() -> None:
    """For the beginning of a program that imports JAX.

    To import it and TensorFlow, and to trace a model, makes objects by the hundred thousand, of
    which few are garbage. Looking at the newest of them every 700, as is usual, takes a fifth of
    that time.
    """
    gc.set_threshold(100_000, 10, 10)


def need(*modules: str) -> None:
    """Makes sure that modules of an extra are installed, before anything is done with them.

    Raises:
        ModuleNotFoundError: one is not; `run` says how to install it.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


@contextlib.contextmanager
def ended_at_once_by_ctrl_c() -> Iterator[None]:
    """For a block with nothing to save: an exception could come out in a library, and be lost."""
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _like(path: str | os.PathLike[str] | None) -> str:
    """'; did you mean PATH?' with a path of a name like this one's, "" if there is none."""
    if path is None:
        return ""
    folder, name = os.path.split(os.fspath(path).rstrip(os.sep))
    try:
        beside = os.listdir(folder or os.curdir)
    except OSError:
        return ""
    nearest = difflib.get_close_matches(name, beside, n=1, cutoff=0.6)
    if not nearest or nearest[0] == name:
        return ""
    return f"; did you mean {os.path.join(folder, nearest[0])}?"


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _split_fields(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The fields of a configuration, each as "--config.FIELD=VALUE", and the other arguments."""
    fields, rest = [], []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not re.match(r"--?(no)?config\.", argument):
            rest.append(argument)
            continue
        takes_next = "=" not in argument and waiting and not waiting[0].startswith("--")
        fields.append(f"{argument}={waiting.pop(0)}" if takes_next else argument)
    return fields, rest
