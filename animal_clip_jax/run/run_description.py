"""What a run's checkpoint says about itself."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from animal_clip_jax.digests import sealed, unsealed
from animal_clip_jax.errors import UserError

VERSION = 3
# Older ones have no digests.
_FIRST_WITH_DIGESTS = 3


@dataclasses.dataclass(frozen=True)
class RunDescription:
    """As JSON, beside the arrays: all that a use of the model needs.

    Attributes:
        config: the configuration, nested dictionaries, with whole paths.
        action_names, animal_names: labels in the order of the model's outputs and inputs.
        relation_counts: (animals, actions) training clips of every pair.
        git_revision: of the code, "" where it is not in a repository.
        action_clips: (actions,) training clips of each action. None in runs older than that.
        multi_label: whether a clip may show several actions. None likewise.
        short_side, max_frames: how the frames of a video are stored: see `load_video`. None
            likewise: such a run looks them up in its data.
        data_digest: of the data set that it is trained on. None likewise.
        recogniser_digest: of the model that recognises its animals, "" if none does. None likewise.
        selection: how its best checkpoint is chosen, see `run.config.Selection`.
        digests: of the arrays of the checkpoint, by their place in it; None in older runs.
        step: of the checkpoint. None in older runs.
    """

    config: dict[str, Any]
    action_names: tuple[str, ...]
    animal_names: tuple[str, ...]
    relation_counts: np.ndarray
    git_revision: str = ""
    action_clips: np.ndarray | None = None
    multi_label: bool | None = None
    short_side: int | None = None
    max_frames: int | None = None
    data_digest: str | None = None
    recogniser_digest: str | None = None
    selection: str = "test_as_published"
    digests: Mapping[str, str] | None = None
    step: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries, lists, texts and numbers."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, value in content.items():
            if isinstance(value, np.ndarray):
                content[name] = value.tolist()
        return sealed({"version": VERSION, **content})

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "RunDescription":
        """The inverse of `to_json`, of this version and older ones.

        Raises:
            UserError: it is of a newer version.
            DamagedError: it is not what was saved.
        """
        version = content.get("version", 1)
        if version > VERSION:
            raise UserError(
                f"it is of version {version}, made by a newer animal_clip_jax; this one reads up "
                f"to version {VERSION}: update it"
            )
        content = unsealed(content, is_sealed=version >= _FIRST_WITH_DIGESTS)
        content.pop("version", None)
        for name in ("relation_counts", "action_clips"):
            if content.get(name) is not None:
                content[name] = np.asarray(content[name], np.int64)
        for name in ("action_names", "animal_names"):
            content[name] = tuple(content[name])
        # An empty list says nothing of its second dimension.
        pairs = (len(content["animal_names"]), len(content["action_names"]))
        content["relation_counts"] = content["relation_counts"].reshape(pairs)
        return cls(**content)
