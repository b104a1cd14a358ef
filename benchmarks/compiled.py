"""What the compiler for TPUs makes of the training step, beside what was recorded of it.

    python -m benchmarks.compiled            # prints the figures
    python -m benchmarks.compiled --record   # and writes them to benchmarks/compiled.json
    python -m benchmarks.compiled --check    # fails if one is worse than recorded by over 3 %

Nothing is run, and no TPU is needed: the step is compiled, as `animal-clip estimate` does it. The
figures are estimates, and the same every time with the same versions of jax and libtpu.

Needs the extra `tpu`.
"""

import importlib.metadata
import json
import pathlib
import sys

from absl import app, flags

RECORD = pathlib.Path(__file__).with_name("compiled.json")
TOLERANCE = 0.03

# By name: the target, and what is changed of configs/animal_kingdom.py.
CONFIGURATIONS: dict[str, tuple[str, dict[str, str | int]]] = {
    "ViT-B/16, 8 frames, bfloat16, attention=xla": (
        "tpu:v5e:2x2",
        {"model.dtype": "bfloat16", "model.attention": "xla"},
    ),
}

_CHECK = flags.DEFINE_bool("check", False, "fail if a figure is worse than recorded")
_RECORD = flags.DEFINE_bool("record", False, f"write the figures to {RECORD.name}")


def figures(target_name: str, fields: dict[str, str | int]) -> dict[str, float]:
    """What a device needs for a step; of each, less is better.

    Args:
        target_name: such as "tpu:v5e:2x2".
        fields: of the configuration, by path.
    """
    import jax

    from animal_clip_jax.estimates.targets import devices_of, parse_target
    from animal_clip_jax.estimates.training_step import estimate_step
    from animal_clip_jax.parallel.mesh import make_mesh
    from animal_clip_jax.run.start import as_published
    from configs import animal_kingdom

    jax.config.update("jax_platforms", "cpu")  # it would look for a TPU
    config = animal_kingdom.get_config()
    config.update_from_flattened_dict(fields)
    target = parse_target(target_name)
    mesh = make_mesh(config.mesh, devices_of(target))
    estimate = estimate_step(as_published(config), mesh, target.chip)
    assert target.chip is not None
    return {
        "TFLOP": round(estimate.flops / 1e12, 3),
        "GB accessed": round(estimate.bytes_accessed / 1e9, 2),
        "GB of temporaries": round(estimate.temporaries / 1e9, 3),
        "Mcycles": round(estimate.seconds * target.chip.clock / 1e6, 2),
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


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("jax", "libtpu")}


def main(argv: list[str]) -> None:
    del argv
    from animal_clip_jax.tables import format_table

    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    found = {}
    failures = []
    for name, (target, fields) in CONFIGURATIONS.items():
        found[name] = figures(target, fields)
        print(format_table(found[name], title=f"{name}; compiled for {target}, estimated"))
        if _CHECK.value:
            before = recorded["figures"].get(name, {})
            failures += [f"{name}: {line}" for line in worse(before, found[name])]
    if _RECORD.value:
        RECORD.write_text(
            json.dumps({"versions": _versions(), "figures": found}, indent=2, ensure_ascii=False)
            + "\n"
        )
    if _CHECK.value and recorded["versions"] != _versions():
        print(f"recorded with {recorded['versions']}, compiled with {_versions()}")
    for line in failures:
        print(f"worse than recorded: {line}", file=sys.stderr)
    if failures:
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
