"""Going on with a run: whether a folder holds the same one, and how it is made longer."""

import dataclasses

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.config import FREE_WHEN_RESUMING, complete, is_among, is_same
from animal_clip_jax.run.inputs import check_inputs, same_but_for_paths
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.run.workdir import read_config, read_record, write_config, write_record
from data_pipeline.dataset import DatasetInfo, dataset_digest


def recorded_config(workdir: epath.Path) -> ConfigDict | None:
    """The configuration of the run in a folder; None if it holds none.

    Raises:
        UserError: it is damaged; names the file.
    """
    config = read_config(workdir)
    if config is None and _has_checkpoint(workdir):
        config = TrainedRun.open(workdir).config
    return config


def _has_checkpoint(workdir: epath.Path) -> bool:
    if not (workdir / "checkpoints").is_dir():
        return False
    checkpoints = RunCheckpoints(workdir)
    try:
        return bool(checkpoints.steps())
    finally:
        checkpoints.close()


def earlier_run(
    config: ConfigDict, workdir: epath.Path, info: DatasetInfo, *, extends: bool = False
) -> TrainedRun | None:
    """Looks whether a folder holds the same run, to go on with.

    Args:
        config: with absolute paths.
        info: of the data set.
        extends: whether more epochs than the run was planned for are wanted.

    Returns:
        the run at its newest checkpoint; None if it has none yet.

    Raises:
        UserError: the folder holds a run with another configuration, or of other data; names the
            fields. Or there is nothing to make longer.
    """
    theirs = recorded_config(workdir)
    found = TrainedRun.open(workdir) if _has_checkpoint(workdir) else None
    if extends and (found is None or theirs is None):
        raise UserError(f"--extend: {workdir} holds no checkpoint to go on from")
    if theirs is not None:
        _check_same(config, complete(theirs.to_dict()), workdir, extends=extends)
    if found is not None:
        _check_same_data(config, found, info)
    if theirs is not None:
        check_inputs(config, read_record(workdir).inputs, str(workdir))
    return found


def _check_same_data(config: ConfigDict, run: TrainedRun, info: DatasetInfo) -> None:
    """Raises UserError, with what differs, if the data is not that which a run was trained on."""
    what = f"{config.data.directory} is not the data that {run.folder} was trained on"
    then = "give the same data to go on, or choose another --workdir"
    for kind, ours in (("actions", info.action_names), ("animals", info.animal_names)):
        held = getattr(run.labels, kind)
        if ours == held:
            continue
        added = [name for name in ours if name not in held]
        gone = [name for name in held if name not in ours]
        differences = [f"{len(ours)} {kind}, there {len(held)}"] if len(ours) != len(held) else []
        differences += [f"{added[0]!r} is new"] if added else []
        differences += [f"{gone[0]!r} is missing"] if gone else []
        if not (added or gone):
            first = next(index for index, name in enumerate(ours) if name != held[index])
            differences.append(
                f"its {kind} are in another order: {ours[first]!r} is where {held[first]!r} was"
            )
        raise UserError(f"{what}: {'; '.join(differences)}. {then.capitalize()}")
    counts = run.description.relation_counts
    if not np.array_equal(info.relation_counts, counts):
        animal, action = np.argwhere(info.relation_counts != counts)[0]
        raise UserError(
            f"{what}: {info.relation_counts[animal, action]} training clips show "
            f"{info.animal_names[animal]!r} as {info.action_names[action]!r}, there "
            f"{counts[animal, action]}. {then.capitalize()}"
        )
    recorded = run.description.data_digest
    if recorded is not None and dataset_digest(config.data.directory) != recorded:
        raise UserError(
            f"{what}: its labels and their counts are the same, but not its clips, or how they "
            f"were converted. {then.capitalize()}"
        )


def _check_same(config: ConfigDict, theirs: ConfigDict, workdir: epath.Path, *, extends: bool):
    ours, held = same_but_for_paths(config), same_but_for_paths(theirs)
    different = {
        name: (held.get(name, "absent"), ours.get(name, "absent"))
        for name in sorted(ours.keys() | held.keys())
        if not is_among(name, FREE_WHEN_RESUMING) and not is_same(ours.get(name), held.get(name))
    }
    is_longer = "epochs" in different and config.epochs > theirs.epochs
    if extends and is_longer:
        del different["epochs"]
    elif extends and config.epochs not in [
        change["to"] for change in read_record(workdir).extended
    ]:
        # The same command again, after a stop, finds the run extended already.
        raise UserError(
            f"--extend: config.epochs is {config.epochs}, and {workdir} was planned for "
            f"{theirs.epochs}; give more"
        )
    if different:
        fields = "; ".join(
            f"{name} (there {there!r}, now {now!r})" for name, (there, now) in different.items()
        )
        hint = " (--extend goes on with more epochs)" if is_longer else ""
        raise UserError(
            f"{workdir} holds a run with another configuration: {fields}{hint}. Choose another "
            "--workdir, or give the same configuration to go on"
        )


def extend(config: ConfigDict, workdir: epath.Path, step: int) -> None:
    """Records that a run is made longer.

    Args:
        config: with absolute paths and the new number of epochs.
        step: at which it goes on.
    """
    record, before = read_record(workdir), read_config(workdir)
    change = {
        "step": step,
        "epochs": before.epochs if before is not None else 0,
        "to": config.epochs,
    }
    write_record(workdir, dataclasses.replace(record, extended=(*record.extended, change)))
    write_config(workdir, config)
