"""The architectures, by name, of the families that are not made of CLIP's towers."""

import dataclasses
from collections.abc import Mapping

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.i3d import I3D_ARCHITECTURES, I3DArchitecture
from animal_clip_jax.models.mvit import MVIT_ARCHITECTURES, MViTArchitecture
from animal_clip_jax.models.slowfast import SLOWFAST_ARCHITECTURES, SlowFastArchitecture
from animal_clip_jax.models.x3d import X3D_ARCHITECTURES, X3DArchitecture

PresetArchitecture = I3DArchitecture | SlowFastArchitecture | X3DArchitecture | MViTArchitecture
ARCHITECTURE_OF: Mapping[str, type[PresetArchitecture]] = {
    "i3d": I3DArchitecture,
    "slowfast": SlowFastArchitecture,
    "x3d": X3DArchitecture,
    "mvit": MViTArchitecture,
}
# The first of each is that which is taken where none is named.
PRESETS: Mapping[str, Mapping[str, PresetArchitecture]] = {
    "i3d": I3D_ARCHITECTURES,
    "slowfast": SLOWFAST_ARCHITECTURES,
    "x3d": {name: X3D_ARCHITECTURES[name] for name in ("X3D-M", "X3D-S", "X3D-L", "tiny")},
    "mvit": MVIT_ARCHITECTURES,
}
PRESET_NAMES = tuple(dict.fromkeys(name for presets in PRESETS.values() for name in presets))


def default_preset(family: str) -> str:
    """The preset of a family that is taken where none is named."""
    return next(iter(PRESETS[family]))


def preset(
    family: str, name: str, *, num_frames: int = 0, image_size: int = 0
) -> PresetArchitecture:
    """A preset, for clips of other sizes than its own if that is said.

    Args:
        family: a key of `PRESETS`.
        name: one of its; "" for the first.
        num_frames, image_size: of the clips; 0 for the preset's.

    Raises:
        UserError: the family has no preset of that name, or none for such clips.
    """
    presets = PRESETS[family]
    if name and name not in presets:
        raise UserError(f"preset is {name!r}; {family} has {', '.join(map(repr, presets))}")
    own = presets[name or default_preset(family)]
    return dataclasses.replace(
        own, num_frames=num_frames or own.num_frames, image_size=image_size or own.image_size
    )


def preset_name(family: str, architecture: PresetArchitecture) -> str:
    """The name of an architecture, whatever clips it is for; "" if it has none."""
    sizes = {"num_frames": architecture.num_frames, "image_size": architecture.image_size}
    return next(
        (
            name
            for name, known in PRESETS[family].items()
            if dataclasses.replace(known, **sizes) == architecture  # type: ignore[arg-type]
        ),
        "",
    )
