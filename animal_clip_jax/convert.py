"""Converts a checkpoint: `python -m animal_clip_jax.convert --source=ViT-B-16.pt --output=weights`.

Sources: OpenAI CLIP archives and state dicts, X-CLIP and Animal-CLIP `.pth`, OpenCLIP and Hugging
Face folders, and checkpoints of this project. Destinations: a checkpoint of this project
(--output), a torch file with the published keys (--to_torch), or both.
"""

import importlib
import re
import sys
from collections.abc import Sequence

from absl import app, flags, logging

from animal_clip_jax.conversion.conversion import (
    Conversion,
    check_torch_destination,
    convert,
    save_torch,
)
from animal_clip_jax.conversion.families import differences_from_published
from animal_clip_jax.conversion.weights import check_destination, save_weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.models.description import FAMILIES

_SOURCE = flags.DEFINE_string("source", None, "Checkpoint to read: a file or a folder.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write, which main.py starts from.")
_TO_TORCH = flags.DEFINE_string("to_torch", None, "Torch file to write, with the published keys.")
_TO = flags.DEFINE_enum("to", None, FAMILIES, "Model to make; by default the source's own.")
_DIMENSIONS = {
    name: flags.DEFINE_integer(name, None, help, lower_bound=1)
    for name, help in (
        ("num_frames", "Frames a clip, if the source has no video tower."),
        ("integration_layers", "Layers of the multi-frame integration, if the source has none."),
        ("prompt_layers", "Layers of the prompt generators, if the source has none of the kind."),
        ("graph_width", "Hidden width of the relation graph, if the source has none."),
    )
}
_ACTIVATION = flags.DEFINE_enum(
    "activation",
    None,
    ("quick_gelu", "gelu"),
    "Activation of a source that does not say; by default quick_gelu.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the initial values of what the source lacks.")
_ALLOW_MISSING = flags.DEFINE_multi_string(
    "allow_missing", [], "Pattern (*, ?) of keys that the source may lack; may be repeated."
)
_ALLOW_UNUSED = flags.DEFINE_multi_string(
    "allow_unused", [], "Pattern (*, ?) of unknown keys to leave out; may be repeated."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace what is at the destination.")


def condensed(paths: Sequence[str]) -> list[str]:
    """Parameter names with the numbers of layers joined: "visual.blocks.{0-11}.mlp…"."""
    layers: dict[str, list[int]] = {}
    for path in paths:
        number = re.search(r"\.(\d+)\.", path)
        generic = re.sub(r"\.\d+\.", ".{}.", path, count=1)
        layers.setdefault(generic, []).extend([int(number.group(1))] if number else [])
    lines = []
    for generic, numbers in layers.items():
        is_range = sorted(numbers) == list(range(len(numbers)))
        text = f"0-{len(numbers) - 1}" if is_range else ",".join(map(str, sorted(numbers)))
        lines.append(generic.replace("{}", f"{{{text}}}" if len(numbers) > 1 else text))
    return lines


def summary(conversion: Conversion) -> str:
    """What was converted, for people."""
    model, metadata = conversion.metadata.model, conversion.metadata
    architecture = model.architecture
    count = sum(array.size for array in conversion.parameters.values())
    lines = [
        f"family        {model.family}"
        + (
            f" (from {conversion.source_family})"
            if conversion.source_family != model.family
            else ""
        ),
        f"vision        {architecture.image_size} px, patch {architecture.patch_size}, "
        f"width {architecture.vision_width}, {architecture.vision_layers} layers, "
        f"{architecture.vision_heads} heads, {architecture.activation}",
        f"text          width {architecture.text_width}, {architecture.text_layers} layers, "
        f"{architecture.text_heads} heads, {architecture.vocab_size} tokens",
        f"embedding     {architecture.embed_dim}",
    ]
    if model.family != "clip":
        lines.append(f"frames        {model.num_frames}")
    lines += [
        f"pixels        mean {_rounded(metadata.normalisation.mean)}, "
        f"std {_rounded(metadata.normalisation.std)}",
        f"parameters    {len(conversion.parameters)} arrays, {count:,} values",
    ]
    for title, names in (
        ("initialised", metadata.initialised),
        ("left out", conversion.dropped),
    ):
        lines.append(f"{title:<14}{len(names) or 'nothing'}")
        lines += [f"  {name}" for name in condensed(names)]
    return "\n".join(lines)


def _rounded(values: Sequence[float]) -> str:
    return " ".join(f"{value:.5g}" for value in values)


def _run() -> None:
    if not _SOURCE.value or not (_OUTPUT.value or _TO_TORCH.value):
        raise UserError("--source and --output (or --to_torch) are needed")
    # Refused first: reading and building may take a minute.
    if _OUTPUT.value:
        check_destination(_OUTPUT.value, overwrite=_OVERWRITE.value)
    if _TO_TORCH.value:
        importlib.import_module("torch")
        check_torch_destination(_TO_TORCH.value, overwrite=_OVERWRITE.value)
    conversion = convert(
        _SOURCE.value,
        family=_TO.value,
        dimensions={
            name: flag.value for name, flag in _DIMENSIONS.items() if flag.value is not None
        },
        activation=_ACTIVATION.value,
        seed=_SEED.value,
        allow_missing=_ALLOW_MISSING.value,
        allow_unused=_ALLOW_UNUSED.value,
    )
    print(summary(conversion))
    if _OUTPUT.value:
        save_weights(
            _OUTPUT.value,
            conversion.parameters,
            conversion.metadata,
            overwrite=_OVERWRITE.value,
        )
        print(f"written       {_OUTPUT.value}")
    if _TO_TORCH.value:
        for difference in differences_from_published(conversion.metadata.model):
            print(f"warning       a published program computes otherwise: {difference}")
        save_torch(_TO_TORCH.value, conversion.parameters, overwrite=_OVERWRITE.value)
        print(f"written       {_TO_TORCH.value}")


def main(argv: Sequence[str]) -> None:
    """Runs the command; a mistake in what was given ends it with one line and exit code 1."""
    logging.set_verbosity(logging.WARNING)  # Orbax reports every step it takes
    try:
        if len(argv) > 1:
            raise UserError(f"{argv[1]!r} is not a flag; give the checkpoint as --source=PATH")
        _run()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"error: {error}; install what conversion needs: pip install -e '.[torch]'")


if __name__ == "__main__":
    app.run(main)
