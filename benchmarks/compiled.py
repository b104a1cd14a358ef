"""What the compilers for TPUs and GPUs make of a step, beside what was recorded of it.

    python -m benchmarks.compiled                      # prints the figures
    python -m benchmarks.compiled --record             # and writes them to benchmarks/compiled.json
    python -m benchmarks.compiled --check              # fails if one is worse by over 3 %
    python -m benchmarks.compiled --check --only=prediction   # of some of them

Nothing is run, and neither a TPU nor a GPU is needed: the step is compiled, as `animal-clip
estimate` does it. The figures are estimates, and the same every time with the same versions of jax
and of the compiler. A training step takes six to nine minutes of one core for TPUs, three for a
GPU, a prediction one and a half.

Needs the extra `tpu` or `cuda`. What is for a compiler that is not installed is left out, and said.
"""

import contextlib
import importlib.metadata
import json
import pathlib
import sys
from typing import NamedTuple

from absl import app, flags

RECORD = pathlib.Path(__file__).with_name("compiled.json")
TOLERANCE = 0.03


class Configuration(NamedTuple):
    """What is compiled.

    Attributes:
        program: "train" or "predict", as for `animal-clip estimate`; of the same clips.
        target: such as "tpu:v5e:2x2" or "cuda:h100:1".
        fields: what is changed of configs/animal_kingdom.py, by path.
    """

    program: str
    target: str
    fields: dict[str, str | int]


_FUSED: dict[str, str | int] = {"model.dtype": "bfloat16", "model.attention": "fused"}
_V5E = "tpu:v5e:2x2"
# Of two small layers, which compile in a minute: what four devices exchange, with their parameters
# spread over them, in four micro-batches.
_FSDP: dict[str, str | int] = {
    **_FUSED,
    "batch_size": 32,
    "mesh.data": 1,
    "mesh.fsdp": 4,
    "model.architecture.vision_layers": 2,
    "model.architecture.vision_width": 256,
    "model.architecture.vision_heads": 4,
    "model.architecture.image_size": 64,
    "model.architecture.embed_dim": 256,
    "model.architecture.text_width": 256,
}
CONFIGURATIONS = {
    "ViT-B/16, 8 frames, bfloat16, attention=xla": Configuration(
        "train", _V5E, {**_FUSED, "model.attention": "xla"}
    ),
    "ViT-B/16, 8 frames, bfloat16, attention=fused": Configuration("train", _V5E, _FUSED),
    "ViT-B/16, 8 frames, bfloat16, attention=fused, prediction": Configuration(
        "predict", _V5E, _FUSED
    ),
    "ViT-B/16, 8 frames, bfloat16, attention=fused, H100": Configuration(
        "train", "cuda:h100:1", _FUSED
    ),
    "two small layers, fsdp 4": Configuration("train", _V5E, _FSDP),
    "two small layers, fsdp 4, H100": Configuration("train", "cuda:h100:4", _FSDP),
}

_CHECK = flags.DEFINE_bool("check", False, "fail if a figure is worse than recorded")
_RECORD = flags.DEFINE_bool("record", False, f"write the figures to {RECORD.name}")
_ONLY = flags.DEFINE_string("only", "", "those whose names end so")


def figures(configuration: Configuration) -> dict[str, float]:
    """What a device needs for a step; of each, less is better."""
    import jax

    from animal_clip_jax.estimates.fit import PREDICT, PROGRAMS
    from animal_clip_jax.estimates.prediction import of_prediction
    from animal_clip_jax.estimates.targets import devices_of, parse_target
    from animal_clip_jax.estimates.tpu import Tpu
    from animal_clip_jax.parallel.mesh import make_mesh
    from animal_clip_jax.run.start import as_published
    from configs import animal_kingdom

    jax.config.update("jax_platforms", "cpu")  # it would look for a TPU
    config = animal_kingdom.get_config()
    config.update_from_flattened_dict(configuration.fields)
    config = as_published(config)
    config.evaluation.batch_size = config.batch_size
    if configuration.program == PREDICT:
        config = of_prediction(config)
    target = parse_target(configuration.target)
    mesh = make_mesh(config.mesh, devices_of(target))
    estimate = PROGRAMS[configuration.program](config, mesh, target.chip)
    assert target.chip is not None
    time = {"est. ms": round(1e3 * estimate.seconds, 2)}
    if isinstance(target.chip, Tpu):  # its compiler says cycles; of a GPU, it is a roofline
        time = {"Mcycles": round(estimate.seconds * target.chip.clock / 1e6, 2)}
    return {
        "TFLOP": round(estimate.flops / 1e12, 3),
        "GB accessed": round(estimate.bytes_accessed / 1e9, 2),
        "GB of temporaries": round(estimate.temporaries / 1e9, 3),
        **time,
        "MB exchanged": round(
            sum(traffic.result_bytes for traffic in estimate.collectives.values()) / 1e6, 1
        ),
    }


def worse(recorded: dict[str, float], found: dict[str, float]) -> list[str]:
    """What is worse than it was recorded, by more than the tolerance, each as a line."""
    return [
        f"{name}: {found[name]:g}, recorded {before:g}"
        for name, before in recorded.items()
        if found[name] > before * (1 + TOLERANCE)
    ]


def missing_compiler(target: str) -> str:
    """The module that would be needed to compile for a target, "" if it is there."""
    from animal_clip_jax.estimates.targets import check_compiler, parse_target

    try:
        check_compiler(parse_target(target))
    except ModuleNotFoundError as error:
        assert error.name is not None
        return error.name
    return ""


def _versions() -> dict[str, str]:
    """Of what is installed."""
    versions = {}
    for name in ("jax", "libtpu", "jax-cuda12-plugin", "nvidia-cudnn-cu12"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def main(argv: list[str]) -> None:
    del argv
    from animal_clip_jax.tables import format_table

    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    asked = {
        name: configuration
        for name, configuration in CONFIGURATIONS.items()
        if name.endswith(_ONLY.value)
    }
    if not asked:
        sys.exit(f"--only={_ONLY.value}: no name ends so; there are {', '.join(CONFIGURATIONS)}")
    found = {}
    failures = []
    for name, configuration in asked.items():
        if missing := missing_compiler(configuration.target):
            print(f"left out, as {missing} is not installed: {name}")
            continue
        found[name] = figures(configuration)
        title = f"{name}; compiled for {configuration.target}, estimated"
        print(format_table(found[name], title=title), flush=True)
        if _CHECK.value:
            before = recorded["figures"].get(name, {})
            failures += [f"{name}: {line}" for line in worse(before, found[name])]
    if not found:
        sys.exit("nothing was compiled: no compiler for any of these is installed")
    versions = {**recorded.get("versions", {}), **_versions()}
    if _RECORD.value:
        record = {"versions": versions, "figures": {**recorded.get("figures", {}), **found}}
        RECORD.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    if _CHECK.value and recorded["versions"] != versions:
        print(f"recorded with {recorded['versions']}, compiled with {versions}")
    for line in failures:
        print(f"worse than recorded: {line}", file=sys.stderr)
    if failures:
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
