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
