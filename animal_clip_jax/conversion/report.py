"""What a person sees of a conversion: where it is, what came of it, and a file with all names."""

import sys
import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from animal_clip_jax.conversion.conversion import PHASES, Conversion, save_torch
from animal_clip_jax.conversion.families import differences_from_published
from animal_clip_jax.conversion.state_dicts import KeyTable
from animal_clip_jax.conversion.video_weights import published_layout, video_keys
from animal_clip_jax.conversion.weights import save_weights
from animal_clip_jax.files import as_path, write_whole
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.description import BASELINES, ModelDescription
from animal_clip_jax.models.presets import PRESETS, preset_name

RECORD_FILE = "conversion.txt"


def summary(conversion: Conversion) -> str:
    """What was converted, in about ten lines."""
    model, metadata = conversion.metadata.model, conversion.metadata
    count = sum(array.size for array in conversion.parameters.values())
    is_turned = conversion.source_family != model.family
    lines = [
        f"family        {model.family}"
        + (f" (from {conversion.source_family})" if is_turned else ""),
        *_dimensions(model),
    ]
    if model.family != "clip":
        lines.append(f"frames        {model.num_frames}")
    if model.num_classes is not None:
        lines.append(f"classes       {model.num_classes}")
    lines += [
        f"pixels        mean {_rounded(metadata.normalisation.mean)}, "
        f"std {_rounded(metadata.normalisation.std)}",
        f"parameters    {len(conversion.parameters)} arrays, {count:,} values",
        f"initialised   {_in_parts(metadata.initialised)}",
    ]
    if conversion.dropped:
        lines.append(f"left out      {_in_parts(conversion.dropped)}")
    return "\n".join(lines)


def _dimensions(model: ModelDescription) -> list[str]:
    architecture = model.architecture
    if not isinstance(architecture, ClipArchitecture):
        name = preset_name(model.family, architecture)
        return [f"preset        {name}, {architecture.image_size} px"]
    return [
        f"vision        {architecture.image_size} px, patch {architecture.patch_size}, "
        f"width {architecture.vision_width}, {architecture.vision_layers} layers, "
        f"{architecture.vision_heads} heads, {architecture.activation}",
        f"text          width {architecture.text_width}, {architecture.text_layers} layers, "
        f"{architecture.text_heads} heads, {architecture.vocab_size} tokens",
        f"embedding     {architecture.embed_dim}",
    ]


def counts(paths: Sequence[str]) -> str:
    """How many parameters there are in each part of a model: "visual 60, graph 6"."""
    parts = Counter(path.partition(".")[0] for path in paths)
    return ", ".join(f"{part} {count}" for part, count in parts.items())


def _in_parts(paths: Sequence[str]) -> str:
    return f"{len(paths)} arrays ({counts(paths)})" if paths else "nothing"


def _rounded(values: Sequence[float]) -> str:
    return " ".join(f"{value:.5g}" for value in values)


def write(
    conversion: Conversion,
    source: str,
    *,
    output: str | None = None,
    to_torch: str | None = None,
    overwrite: bool = False,
) -> str:
    """Writes what was converted, and a text file with the summary and all names beside it.

    Args:
        source: that was converted.
        output: the weights folder to write; None writes none.
        to_torch: the torch file to write; None writes none.

    Returns:
        lines that say what lies where.

    Raises:
        AlreadyThereError: something is there, and `overwrite` is false.
    """
    lines, texts = [], _names(conversion, source)
    if output:
        save_weights(
            output, conversion.parameters, conversion.metadata, overwrite=overwrite, texts=texts
        )
        lines.append(f"written       {output}")
    if to_torch:
        if not output:
            for name, text in texts.items():
                write_whole(f"{to_torch}.{name}", text)
        save_torch(
            to_torch,
            conversion.parameters,
            keys=_published_keys(conversion),
            field="model_state" if conversion.metadata.model.family in PRESETS else "model",
            overwrite=overwrite,
        )
        lines.append(f"written       {to_torch}")
        lines += [
            f"warning       a published program computes otherwise: {difference}"
            for difference in differences_from_published(conversion.metadata.model)
        ]
    for name in texts:
        lines.append(
            f"names         in {as_path(output) / name if output else f'{to_torch}.{name}'}"
        )
    return "\n".join(lines)


def _published_keys(conversion: Conversion) -> KeyTable | None:
    model = conversion.metadata.model
    if model.family not in BASELINES:
        return None
    return video_keys(conversion.parameters, published_layout(model))


def _names(conversion: Conversion, source: str) -> dict[str, str]:
    """The file with all names, and what it is called; none where there is nothing to say."""
    names = {
        "initialised, because the source lacks them": conversion.metadata.initialised,
        "left out, because the model has no place for them": conversion.dropped,
    }
    if not any(names.values()):
        return {}
    parts = [f"source        {source}", summary(conversion)]
    for title, paths in names.items():
        parts += ["", f"{title}:", *(paths or ["nothing"])]
    return {RECORD_FILE: "\n".join(parts) + "\n"}


class PhaseLine:
    """Shows which phase of a conversion is running. Use it as a context manager.

    On a terminal it is a line that goes away; elsewhere the phases are printed, once the conversion
    has taken a few seconds.

    Args:
        console: to print on; standard error unless given.
        silent_seconds: after which phases are printed where there is no terminal.
    """

    def __init__(self, console: Console | None = None, *, silent_seconds: float = 3.0):
        self._console = console or Console(file=sys.stderr)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=len(PHASES) + 1)
        self._silent_seconds = silent_seconds
        self._began = time.monotonic()

    def __enter__(self) -> "PhaseLine":
        return self  # not shown before the first phase: fetching has bars of its own

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def show(self, phase: str) -> None:
        """Shows that a phase begins: one of `conversion.PHASES`, or "writing"."""
        done = PHASES.index(phase) if phase in PHASES else len(PHASES)
        self._progress.start()
        self._progress.update(self._task, description=phase, completed=done, refresh=True)
        seconds = time.monotonic() - self._began
        if not self._console.is_terminal and seconds > self._silent_seconds:
            self._console.print(f"{phase} ({seconds:.0f} s so far)", markup=False, highlight=False)
