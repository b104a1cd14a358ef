"""What a configuration says of the refinement that cannot be: one line that names the fields."""

import pytest

from animal_clip_jax.errors import UserError
from animal_clip_jax.run.config import check_fields
from configs import default


def message_of(fields: dict[str, object]) -> str:
    config = default.get_config()
    config.update_from_flattened_dict(fields)
    with pytest.raises(UserError) as caught:
        check_fields(config)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model.refinement": False, "model.graph": "averaged"},
            "config.model.refinement is False and config.model.graph is 'averaged'; without "
            "refinement there is nothing more to say of it: leave one out",
        ),
        (
            {"model.refinement": False, "model.adaptive_prompts": False},
            "config.model.refinement is False and config.model.adaptive_prompts is False; without "
            "refinement there is nothing more to say of it: leave one out",
        ),
        (
            {"model.refinement": False, "model.unknown_animals": "from_video"},
            "config.model.refinement is False and config.model.unknown_animals is 'from_video'; "
            "without refinement there is nothing more to say of it: leave one out",
        ),
        (
            {"model.graph": "none", "model.adaptive_prompts": False},
            "config.model.graph is 'none' and config.model.adaptive_prompts is False; a model "
            "without both is config.model.refinement=False",
        ),
        (
            {"model.family": "xclip", "model.graph": "averaged"},
            "config.model.graph is 'averaged'; a model of family 'xclip' has no refinement to "
            "change or leave out",
        ),
        (
            {"model.refinement": False, "model.gate": True},
            "config.model.refinement is False and config.model.gate is True; without refinement "
            "there is nothing more to say of it: leave one out",
        ),
        (
            {"model.family": "xclip", "model.refinement": False},
            "config.model.refinement is False; a model of family 'xclip' has no refinement to "
            "change or leave out",
        ),
    ],
)
def test_refinement_that_cannot_be_is_one_line(fields, message):
    assert message_of(fields) == message


def test_a_baseline_without_blocks_computes_nothing_again():
    config = default.get_config()
    config.update_from_flattened_dict({"model.family": "x3d", "model.remat": "none"})
    check_fields(config)


@pytest.mark.parametrize(
    "fields",
    [
        {"model.refinement": False},
        {"model.graph": "none"},
        {"model.adaptive_prompts": False},
        {"model.graph": "none", "model.gate": True},
        {
            "model.graph": "averaged",
            "model.adaptive_prompts": False,
            "model.unknown_animals": "from_video",
        },
    ],
)
def test_refinement_in_parts_is_taken(fields):
    config = default.get_config()
    config.update_from_flattened_dict(fields)
    check_fields(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model.family": "i3d", "model.preset": "X3D-M"},
            "config.model.preset is 'X3D-M'; a model of family 'i3d' has 'I3D R50 8x8', 'tiny'",
        ),
        (
            {"model.preset": "X3D-M"},
            "config.model.preset is 'X3D-M'; a model of family 'animal_clip' is of CLIP's towers, "
            "whose dimensions are config.model.architecture",
        ),
        (
            {"model.family": "i3d", "model.graph_width": 64, "model.architecture.patch_size": 8},
            "config.model.graph_width is 64 and config.model.architecture.patch_size is 8; a model "
            "of family 'i3d' is not made of CLIP's towers, and its dimensions are "
            "config.model.preset: leave the others open",
        ),
        (
            {
                "model.family": "mvit",
                **{f"model.architecture.{name}_layers": 3 for name in ("vision", "text")},
                **{f"model.architecture.{name}_heads": 2 for name in ("vision", "text")},
            },
            "config.model.architecture.vision_layers is 3 and config.model.architecture."
            "vision_heads is 2 and config.model.architecture.text_layers is 3 and 1 more; a model "
            "of family 'mvit' is not made of CLIP's towers, and its dimensions are "
            "config.model.preset: leave the others open",
        ),
        (
            {"model.family": "evl", "prompts.actions": "templates"},
            "config.prompts.actions is 'templates'; a model of family 'evl' reads no texts: leave "
            "it at 'names'",
        ),
        (
            {"model.family": "video_prompt", "prompts.animals": "animals.csv"},
            "config.prompts.animals is 'animals.csv'; a model of family 'video_prompt' reads the "
            "names of the actions alone: leave it at 'names'",
        ),
        (
            {"model.family": "x3d", "model.remat": "blocks", "model.drop_path_rate": 0.1},
            "config.model.drop_path_rate is 0.1 and config.model.remat is 'blocks'; that is of "
            "xclip, animal_clip, mvit, not of a model of family 'x3d'",
        ),
        (
            {"model.family": "x3d", "model.graph": "none"},
            "config.model.graph is 'none'; a model of family 'x3d' has no refinement to change or "
            "leave out",
        ),
        (
            {"model.family": "i3d", "model.num_frames": 1, "model.architecture.image_size": 224},
            "architecture.num_frames is 1; an I3D pools 2 frames to one: expected at least 2",
        ),
        (
            {
                "model.family": "slowfast",
                "model.num_frames": 6,
                "model.architecture.image_size": 32,
            },
            "clips of 6 frames for a SlowFast whose slow pathway sees every 4th (alpha): expected "
            "a multiple of 4",
        ),
        (
            {"model.family": "i3d", "model.num_frames": 8, "model.architecture.image_size": 100},
            "architecture.image_size is 100; the head's window of 3×3 (100 // 32) does not fit its "
            "features of 4×4: expected a multiple of 32",
        ),
    ],
)
def test_baselines_that_cannot_be_are_one_line(fields, message):
    found = message_of(fields)
    assert found.removeprefix("config.model: ") == message
