"""The configuration files beside Hugging Face and OpenCLIP weights.

Only what our models compute is accepted: a field that would change the computation and that we do
not know stops the conversion, since the weights alone would fit and the outputs would be wrong.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from animal_clip_jax.errors import UserError, quoted, shortened
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.normalisation import CLIP, IMAGENET, Normalisation

END_TOKEN = 49407


@dataclasses.dataclass(frozen=True)
class _Fields:
    """A group of fields of a configuration file.

    Attributes:
        values: of the fields.
        where: the file and the group, as they stand before a field's name in a message.
    """

    values: Mapping[str, Any]
    where: str

    def group(self, name: str) -> "_Fields":
        """The fields below a field."""
        value = self.values.get(name)
        if not isinstance(value, Mapping):
            raise UserError(f"{self.where}{name} is {quoted(value)}; expected a group of fields")
        return _Fields(value, f"{self.where}{name}.")

    def dimension(self, name: str, default: int | None = None) -> int:
        """A size, which may be given for both sides of an image."""
        value = self.values.get(name, default)
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"{self.where}{name} is {quoted(value)}; expected a positive integer")
        return value

    def one_of(self, name: str, accepted: Collection[Any], default: Any = None) -> Any:
        """A value that our models have."""
        value = self.values.get(name, default)
        if value not in accepted:
            expected = " or ".join(repr(choice) for choice in accepted)
            raise UserError(
                f"{self.where}{name} is {quoted(value)}, which is not supported; expected "
                f"{expected}"
            )
        return value


# --- OpenCLIP ---------------------------------------------------------------------------------

_ANYTHING = object()  # changes nothing here: training only, or about output form
_NOTHING: tuple[Any, ...] = (
    None,
    False,
    "",
    {},
)  # something that ours have not, and this model does not use
# What a field may be, beyond the dimensions; any other field of model_cfg is refused.
_OPEN_CLIP_MODEL: dict[str, Any] = {
    **dict.fromkeys(("custom_text", "nonscalar_logit_scale"), _NOTHING),
    **dict.fromkeys(("init_logit_scale", "output_dict", "cast_dtype"), _ANYTHING),
}
_OPEN_CLIP_TOWER = {
    "mlp_ratio": (4,),
    "ls_init_value": (None,),
    "final_ln_after_pool": _NOTHING,
    "output_tokens": _NOTHING,
    "norm_kwargs": _NOTHING,
    "act_kwargs": _NOTHING,
}
_OPEN_CLIP_VISION: dict[str, Any] = {
    **_OPEN_CLIP_TOWER,
    "pos_embed_type": ("learnable", None),
    "pool_type": ("tok", None),
    "attentional_pool": _NOTHING,
    "no_ln_pre": _NOTHING,
    "input_patchnorm": _NOTHING,
    "global_average_pool": _NOTHING,
    "timm_model_name": _NOTHING,
    "patch_dropout": _ANYTHING,
    "drop_path_rate": _ANYTHING,
    "attn_pooler_queries": _ANYTHING,
    "attn_pooler_heads": _ANYTHING,
}
_OPEN_CLIP_TEXT: dict[str, Any] = {
    **_OPEN_CLIP_TOWER,
    "eos_id": (END_TOKEN, None),
    "pool_type": ("argmax", None),
    "proj_type": ("linear", None),
    "embed_cls": _NOTHING,
    "no_causal_mask": _NOTHING,
    "proj_bias": _NOTHING,
    "hf_model_name": _NOTHING,
    "hf_tokenizer_name": _NOTHING,
    "tokenizer_kwargs": _NOTHING,
    "pad_id": _ANYTHING,
}


def describe_open_clip(config: Mapping[str, Any], *, source: str) -> ModelDescription:
    """The model that an `open_clip_config.json` describes.

    Args:
        config: the file's content.
        source: the file's path, for the messages.

    Raises:
        UserError: it describes another kind of model (a timm or Hugging Face tower, attention
            pooling, …); names the file and the field.
    """
    model = _Fields(config, f"{source}: ").group("model_cfg")
    vision, text = model.group("vision_cfg"), model.group("text_cfg")
    dimensions = {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"}
    _refuse_others(model, dimensions, _OPEN_CLIP_MODEL)
    dimensions = {"image_size", "layers", "width", "patch_size", "head_width"}
    _refuse_others(vision, dimensions, _OPEN_CLIP_VISION)
    dimensions = {"context_length", "vocab_size", "width", "heads", "layers"}
    _refuse_others(text, dimensions, _OPEN_CLIP_TEXT)
    # The defaults are OpenCLIP's own.
    architecture = ClipArchitecture(
        embed_dim=model.dimension("embed_dim"),
        image_size=vision.dimension("image_size", 224),
        patch_size=vision.dimension("patch_size", 16),
        vision_width=vision.dimension("width", 768),
        vision_layers=vision.dimension("layers", 12),
        vision_heads=vision.dimension("width", 768) // vision.dimension("head_width", 64),
        text_width=text.dimension("width", 512),
        text_layers=text.dimension("layers", 12),
        text_heads=text.dimension("heads", 8),
        context_length=text.dimension("context_length", 77),
        vocab_size=text.dimension("vocab_size", 49408),
        activation="quick_gelu" if model.one_of("quick_gelu", (True, False), False) else "gelu",
    )
    return ModelDescription("clip", architecture)


def _refuse_others(fields: _Fields, read: Collection[str], settings: Mapping[str, Any]) -> None:
    """Refuses fields that are neither read nor have a value of `settings`."""
    for name, value in fields.values.items():
        if name in read:
            continue
        if name not in settings:
            raise UserError(
                f"{fields.where}{shortened(name)} is {quoted(value)}: this kind of model is not "
                "supported (only CLIP's own vision and text transformers are)"
            )
        if settings[name] is not _ANYTHING:
            fields.one_of(name, settings[name])


def open_clip_normalisation(config: Mapping[str, Any], *, source: str) -> Normalisation:
    """The pixel statistics of an `open_clip_config.json`, CLIP's own where it gives none."""
    given = {"preprocess_cfg": config.get("preprocess_cfg") or {}}
    preprocessing = _Fields(given, f"{source}: ").group("preprocess_cfg").values
    return _normalisation(
        preprocessing.get("mean"), preprocessing.get("std"), CLIP, where=f"{source}: preprocess_cfg"
    )


# --- Hugging Face -----------------------------------------------------------------------------


def describe_hugging_face(config: Mapping[str, Any], *, source: str) -> ModelDescription:
    """The model that a Hugging Face `config.json` of a CLIPModel or XCLIPModel describes.

    Args:
        config: the file's content.
        source: the file's path, for the messages.

    Raises:
        UserError: it describes another model, or one that computes what ours do not; names the
            file and the field.
    """
    model = _Fields(config, f"{source}: ")
    family = model.one_of("model_type", ("clip", "xclip"))
    vision = _tower(model, "vision_config", width=768, hidden=3072)
    text = _tower(model, "text_config", width=512, hidden=2048)
    activation = vision.one_of("hidden_act", ("quick_gelu", "gelu"), "quick_gelu")
    text.one_of("hidden_act", (activation,), "quick_gelu")
    vision.one_of("num_channels", (3,), 3)
    # The defaults are transformers' own.
    architecture = ClipArchitecture(
        embed_dim=model.dimension("projection_dim", 512),
        image_size=vision.dimension("image_size", 224),
        patch_size=vision.dimension("patch_size", 32),
        vision_width=vision.dimension("hidden_size", 768),
        vision_layers=vision.dimension("num_hidden_layers", 12),
        vision_heads=vision.dimension("num_attention_heads", 12),
        text_width=text.dimension("hidden_size", 512),
        text_layers=text.dimension("num_hidden_layers", 12),
        text_heads=text.dimension("num_attention_heads", 8),
        context_length=text.dimension("max_position_embeddings", 77),
        vocab_size=text.dimension("vocab_size", 49408),
        activation=activation,
    )
    if family == "clip":
        # 2 is what early files say, and stands for "the largest id of the row".
        end_tokens = (2, END_TOKEN, architecture.vocab_size - 1)
        text.one_of("eos_token_id", end_tokens, END_TOKEN)
        return ModelDescription("clip", architecture)
    model.one_of("prompt_hidden_act", (activation,), "quick_gelu")
    vision.one_of("mit_hidden_size", (architecture.embed_dim,), 512)
    vision.one_of("mit_intermediate_size", (4 * architecture.embed_dim,), 2048)
    return ModelDescription(
        "xclip",
        architecture,
        num_frames=vision.dimension("num_frames", 8),
        integration_layers=vision.dimension("mit_num_hidden_layers", 1),
        integration_heads=vision.dimension("mit_num_attention_heads", 8),
        prompt_layers=model.dimension("prompt_layers", 2),
        prompt_heads=model.dimension("prompt_num_attention_heads", 8),
    )


def _tower(model: _Fields, name: str, *, width: int, hidden: int) -> _Fields:
    """The fields of a tower; where a file has `*_config_dict` (an early form), that one counts."""
    given = {key: model.values.get(key) or {} for key in (name, f"{name}_dict")}
    groups = [_Fields(given, model.where).group(key).values for key in given]
    values = {**groups[0], **groups[1]}
    fields = _Fields(values, f"{model.where}{name}.")
    fields.one_of("intermediate_size", (4 * fields.dimension("hidden_size", width),), hidden)
    fields.one_of("layer_norm_eps", (1e-5,), 1e-5)
    return fields


def hugging_face_normalisation(
    preprocessor: Mapping[str, Any], family: str, *, source: str
) -> Normalisation:
    """The pixel statistics of a `preprocessor_config.json`, the family's own where it has none."""
    return _normalisation(
        preprocessor.get("image_mean"),
        preprocessor.get("image_std"),
        published_normalisation(family),
        where=f"{source}: image",
    )


# A tower that stays as it is goes on with the pixels that it was trained on.
_OF_CLIP = ("clip", "video_prompt", "evl")


def published_normalisation(family: str) -> Normalisation:
    """The pixel statistics that published weights of a family were trained with."""
    return CLIP if family in _OF_CLIP else IMAGENET


def _normalisation(mean: Any, std: Any, default: Normalisation, *, where: str) -> Normalisation:
    if mean is None and std is None:
        return default
    for name, value in (("mean", mean), ("std", std)):
        is_triple = isinstance(value, list) and len(value) == 3
        if not is_triple or not all(
            isinstance(channel, int | float) and 0 <= channel <= 1 for channel in value
        ):
            raise UserError(f"{where} {name} is {quoted(value)}; expected three numbers of 0..1")
    if 0 in std:
        raise UserError(f"{where} std is {quoted(std)}; expected no zeros")
    return Normalisation(*(tuple(255.0 * channel for channel in value) for value in (mean, std)))
