"""What a pretraining is asked for, and whether a folder holds the same one."""

import dataclasses
from typing import Any

from etils import epath

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import read_json_object
from animal_clip_jax.models.architectures import ARCHITECTURES, TINY
from animal_clip_jax.run.workdir import PRETRAINING_FILE

CHOICES = {**ARCHITECTURES, "tiny": TINY}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the weights are a function of, beside the pairs and the weights that it starts from.

    Attributes:
        architecture: a key of `CHOICES`; "" with `init_from`.
        init_from: weights to start from; "" starts from random ones.
        steps: batches.
        batch_size: pairs in each, which are told from one another.
        learning_rate: the highest; it rises from 0 for 5 % of the steps, and falls to 0 in half a
            cosine.
        weight_decay: of matrices, times the learning rate.
        seed: of the first weights and of all that is random in batches.
        mirror: mirror half of the pictures.
        dtype: of the computation, "float32" or "bfloat16".
        train_split: to train on.
    """

    architecture: str
    init_from: str
    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    mirror: bool
    dtype: str
    train_split: str


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """Where things lie, and what changes no weights.

    Attributes:
        data: folder of pairs.
        output: folder of weights to write.
        workdir: folder of what is needed to go on, and of figures.
        overwrite: replace weights that are there.
        test_split: whose pictures are recognised at the end, if the pairs have it.
        labels: texts of its labels, a file; None has their names alone.
        fsdp: devices that share the parameters; the others share the batch only.
        log_every, save_every: steps between lines of figures, and between checkpoints.
        profile: whether a few steps are traced.
    """

    data: str
    output: str
    workdir: str
    overwrite: bool = False
    test_split: str = "test"
    labels: str | None = None
    fsdp: int = 1
    log_every: int = 20
    save_every: int = 500
    profile: bool = False


def is_begun(workdir: epath.Path, record: dict[str, Any]) -> bool:
    """Whether a folder holds this very pretraining.

    Args:
        workdir: the folder, which may be new.
        record: what `PRETRAINING_FILE` in it says, with the "settings".

    Raises:
        UserError: it holds another one, or something else.
    """
    if not workdir.exists():
        return False
    path = workdir / PRETRAINING_FILE
    if not workdir.is_dir():
        raise UserError(f"--workdir: {workdir} is a file; expected a folder, or a new one")
    if not path.exists():
        strange = [
            entry.name
            for entry in workdir.iterdir()
            if not entry.name.startswith((".", PRETRAINING_FILE))
        ]
        if strange:
            raise UserError(
                f"--workdir: {workdir} is not empty and holds no pretraining, but "
                f"{min(strange)}; choose another folder"
            )
        return False
    before = read_json_object(path)
    theirs, ours = before.get("settings"), record["settings"]
    if not isinstance(theirs, dict):
        raise UserError(f"{path} is damaged: it has no settings; choose another --workdir")
    # The same weights may have been moved: their digest counts.
    different = [
        f"--{name} (there {theirs.get(name)!r}, now {value!r})"
        for name, value in ours.items()
        if name != "init_from" and theirs.get(name) != value
    ]
    different += [
        f"{what} (others than there)"
        for what, name in (("the pairs", "pairs"), ("--init_from", "init_from"))
        if before.get(name) != record[name]
    ]
    if different:
        raise UserError(
            f"{workdir} holds a pretraining that differs: {'; '.join(different)}. Choose another "
            "--workdir, or give the same to go on"
        )
    return True
