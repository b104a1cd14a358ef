"""Memory, traffic and time of a step of training or prediction, before any device is rented.

    animal-clip estimate --config=configs/animal_kingdom.py --devices=8 --remat=all
    animal-clip estimate --config=configs/animal_kingdom.py --target=tpu:v5e:2x2
    animal-clip estimate --config=configs/animal_kingdom.py --target=cuda:h100:8

The step is compiled for that many virtual devices of this machine's processor, or for TPUs or GPUs
by their own compilers. Nothing is run, and neither data nor weights are needed.
"""

import argparse
import copy
import itertools
import sys
from collections.abc import Callable, Sequence

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.errors import UserError
from animal_clip_jax.estimates import report
from animal_clip_jax.estimates.fit import (
    PREDICT,
    PROGRAMS,
    TRAIN,
    changes_that_fit,
    total_or_need,
)
from animal_clip_jax.estimates.prediction import of_prediction
from animal_clip_jax.estimates.report import Case
from animal_clip_jax.estimates.targets import (
    CPU,
    Target,
    check_compiler,
    devices_of,
    parse_target,
)
from animal_clip_jax.estimates.training_step import check_step, resolved_without_weights
from animal_clip_jax.models.rematerialisation import REMAT_POLICIES
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.run.assembly import remat_policy
from animal_clip_jax.run.attention import choose_attention
from animal_clip_jax.run.config import check_fields
from animal_clip_jax.run.config_flags import read_config_file, with_fields

# Each is a device of XLA's on the host, which takes minutes for more.
_MOST_DEVICES = 4096
_MOST_CLIPS = 2**24


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip estimate`; returns the exit code."""
    parser = Parser(
        "estimate",
        usage="--config=FILE [options] [--config.FIELD=VALUE ...]",
        summary="Memory, traffic and time of a step, before any device is rented.",
        examples=(
            "animal-clip estimate --config=configs/animal_kingdom.py --devices=8",
            "animal-clip estimate --config=configs/animal_kingdom.py --target=tpu:v5e:2x2",
        ),
        takes_fields=True,
    )
    parser.add_argument(
        "--config", metavar="FILE", required=True, help="configs/NAME.py, or a run's config.json"
    )
    parser.add_argument(
        "--target",
        metavar="T[,T...]",
        default=CPU,
        help="cpu; or tpu:v5e:2x2 (v5e, v5p, v6e), cuda:h100:8 (h100, h200), there or not (cpu)",
    )
    parser.add_argument(
        "--program",
        choices=tuple(PROGRAMS),
        default=TRAIN,
        help="a training step, or one view of an evaluation's batch (train)",
    )
    parser.add_argument(
        "--devices",
        metavar="N[,N...]",
        type=_several(numeric(int, least=1, most=_MOST_DEVICES)),
        help="of the job, with --target=cpu (1)",
    )
    parser.add_argument(
        "--batch_size",
        metavar="N[,N...]",
        type=_several(numeric(int, least=1, most=_MOST_CLIPS)),
        help="clips a step (as the configuration says)",
    )
    parser.add_argument(
        "--remat",
        choices=("config", "all", *REMAT_POLICIES),
        default="config",
        help="what the backward pass computes again (config: as that says)",
    )
    return command_line.run(lambda: _estimate(parser.parse(arguments)))


def _several(read: Callable[[str], float]) -> Callable[[str], list[int]]:
    """For argparse: reads what commas separate."""
    return lambda text: [int(read(part)) for part in text.split(",")]


def _estimate(options: argparse.Namespace) -> None:
    targets = [parse_target(text) for text in options.target.split(",")]
    if options.devices and any(target.chip for target in targets):
        raise UserError(
            f"--devices={','.join(map(str, options.devices))} is of --target=cpu; others say "
            f"themselves how many there are: --target={options.target}"
        )
    for target in targets:
        check_compiler(target)
    # Must come before anything that touches a device.
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", max(options.devices or [1]))
    config = with_fields(read_config_file(options.config), options.fields)
    check_fields(config)
    config = resolved_without_weights(config)
    if options.program == PREDICT:
        if options.remat != "config":
            raise UserError(
                f"--remat={options.remat} is of --program={TRAIN}: nothing else goes backward"
            )
        config = of_prediction(config)
    planned = _planned(config, targets, options)
    chosen = (choose_attention(step.model, mesh).note for of, mesh, step in planned if of.chip)
    for note in dict.fromkeys(filter(None, chosen)):
        print(note, file=sys.stderr)
    is_one_place = (
        len({(target, mesh.size, step.batch_size) for target, mesh, step in planned}) == 1
    )
    if is_one_place and not targets[0].chip:
        _on_processor(planned, options.program)
    elif len(planned) == 1:
        _on_accelerator(*planned[0], program=options.program)
    else:
        print(report.comparison([_case(*step, program=options.program) for step in planned]))


def _planned(
    config: ConfigDict, targets: Sequence[Target], options: argparse.Namespace
) -> list[tuple[Target, Mesh, ConfigDict]]:
    """The steps to compile, each checked."""
    meshes = []
    for target in targets:
        devices = devices_of(target) if target.chip else jax.devices()
        counts = [len(devices)] if target.chip else options.devices or [1]
        for count in counts:
            meshes.append((target, mesh_lib.make_mesh(config.mesh, devices[:count])))
    policies = {"config": [config.model.remat], "all": list(REMAT_POLICIES)}
    planned = []
    for (target, mesh), batch_size, policy in itertools.product(
        meshes,
        options.batch_size or [config.batch_size],
        policies.get(options.remat, [options.remat]),
    ):
        changed = copy.deepcopy(config)
        changed.batch_size, changed.model.remat = batch_size, policy
        check_step(changed, mesh)
        attention = choose_attention(changed.model, mesh).attention
        changed.model.remat = remat_policy(changed.model, attention)
        planned.append((target, mesh, changed))
    return planned


def _on_processor(planned: Sequence[tuple[Target, Mesh, ConfigDict]], program: str) -> None:
    """One step, with one policy of rematerialisation or several."""
    _, mesh, config = planned[0]
    estimates = {step.model.remat: PROGRAMS[program](step, mesh) for _, _, step in planned}
    print(report.report(config, estimates, mesh))


def _case(target: Target, mesh: Mesh, config: ConfigDict, *, program: str) -> Case:
    _notice(
        f"{target.name}, {mesh.size} device(s), {config.batch_size} clips, remat "
        f"{config.model.remat}"
    )
    return Case(target, mesh, config, *total_or_need(config, target, mesh, program=program))


def _on_accelerator(target: Target, mesh: Mesh, config: ConfigDict, *, program: str) -> None:
    case = _case(target, mesh, config, program=program)
    if case.fits:
        print(report.accelerator_report(case))
        return
    changes = changes_that_fit(config, target, mesh, program=program, notice=_notice)
    print(report.too_large_report(case, changes))


def _notice(step: str) -> None:
    print(f"compiling: {step}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
