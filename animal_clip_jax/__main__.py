"""`animal-clip COMMAND`, which is also `python -m animal_clip_jax COMMAND`."""

import importlib
import sys
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.errors import UserError
from animal_clip_jax.version import VERSION

# Name, the module and function that do it, and what it is for. Imported when asked for.
_COMMANDS = {
    "predict": ("animal_clip_jax.predict_command", "main", "what the animals in a video do"),
    "train": ("animal_clip_jax.run_commands", "train", "trains a model on converted videos"),
    "evaluate": ("animal_clip_jax.run_commands", "evaluate", "tests a trained model"),
    "calibrate": (
        "animal_clip_jax.calibrate",
        "main",
        "makes the probabilities of a model honest",
    ),
    "export": (
        "animal_clip_jax.export",
        "main",
        "a trained model as a file for other programs",
    ),
    "convert-videos": ("data_pipeline.convert", "main", "videos and annotations to training data"),
    "inspect": ("data_pipeline.inspect", "main", "what is in converted videos"),
    "pretrain": (
        "animal_clip_jax.pretrain",
        "main",
        "an image-text model, from pictures and texts",
    ),
    "convert-pairs": (
        "data_pipeline.convert_pairs",
        "main",
        "pictures and texts to training data",
    ),
    "convert": ("animal_clip_jax.convert", "main", "pretrained weights, from torch and to it"),
    "describe": ("animal_clip_jax.describe", "main", "a language model describes the labels"),
    "estimate": (
        "animal_clip_jax.estimate",
        "main",
        "the memory that a training needs",
    ),
    "finetune-recogniser": (
        "animal_clip_jax.finetune_recogniser",
        "main",
        "fits the model that recognises the animals",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that is named first; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in ("-h", "--help"):
        print(_help())
        return command_line.DONE
    if given and given[0] == "--version":
        print(VERSION)
        return command_line.DONE
    name = given[0] if given else ""

    def choose() -> None:
        if not name:
            raise UserError(f"no command is given; expected one of {', '.join(_COMMANDS)}")
        command_line.one_of(name, _COMMANDS, what="command")

    code = command_line.run(choose)
    if code:
        return code
    module, function, _ = _COMMANDS[name]
    return getattr(importlib.import_module(module), function)(given[1:])


def _help() -> str:
    width = max(map(len, _COMMANDS))
    lines = [f"  {name:<{width}}  {purpose}" for name, (_, _, purpose) in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: animal-clip COMMAND ...",
            "",
            "Recognises what animals do in videos.",
            "",
            *lines,
            "",
            "animal-clip COMMAND -h says how each is used, and --version which version this is.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
