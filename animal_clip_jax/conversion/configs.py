"""The configuration files beside Hugging Face and OpenCLIP weights.

Only what our models compute is accepted: a field that would change the computation and that we do
not know stops the conversion, since the weights alone would fit and the outputs would be wrong.
"""

from collections.abc import Mapping
from typing import Any

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.normalisation import CLIP, IMAGENET, Normalisation

END_TOKEN = 49407

_UNUSED = object()  # a field that changes nothing here: training only, or about output form
# What a field may be, beyond the dimensions; any other field of model_cfg is refused.
_OPEN_CLIP_MODEL = {
    "custom_text": (False, None),
    "init_logit_scale": _UNUSED,
    "output_dict": _UNUSED,
    "cast_dtype": _UNUSED,
    "nonscalar_logit_scale": (False, None),
}
_OPEN_CLIP_VISION = {
    "head_width": _UNUSED,  # read below
    "mlp_ratio": (4,),
    "patch_dropout": _UNUSED,
    "drop_path_rate": _UNUSED,
    "ls_init_value": (None,),
    "attentional_pool": (False, None),
    "attn_pooler_queries": _UNUSED,
    "attn_pooler_heads": _UNUSED,
    "no_ln_pre": (False, None),
    "input_patchnorm": (False, None),
    "pos_embed_type": ("learnable", None),
    "final_ln_after_pool": (False, None),
    "pool_type": ("tok", None),
    "global_average_pool": (False, None),
    "output_tokens": (False, None),
    "timm_model_name": (None, ""),
    "norm_kwargs": (None, {}),
    "act_kwargs": (None, {}),
}
_OPEN_CLIP_TEXT = {
    "mlp_ratio": (4,),
    "ls_init_value": (None,),
    "embed_cls": (False, None),
    "pad_id": _UNUSED,
    "eos_id": (END_TOKEN, None),
    "no_causal_mask": (False, None),
    "final_ln_after_pool": (False, None),
    "pool_type": ("argmax", None),
    "proj_type": ("linear", None),
    "proj_bias": (False, None),
    "output_tokens": (False, None),
    "hf_model_name": (None, ""),
    "hf_tokenizer_name": (None, ""),
    "tokenizer_kwargs": (None, {}),
    "norm_kwargs": (None, {}),
    "act_kwargs": (None, {}),
}


def _section(config: Mapping[str, Any], name: str, *, source: str) -> Mapping[str, Any]:
    value = config.get(name)
    if not isinstance(value, Mapping):
        raise UserError(f"{source}: {name} is {value!r}; expected a group of fields")
    return value


def _dimension(config: Mapping[str, Any], name: str, default: int | None = None, *, where: str):
    value = config.get(name, default)
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{where}{name} is {value!r}; expected a positive integer")
    return value


def _require(config: Mapping[str, Any], name: str, accepted: tuple, *, default: Any, where: str):
    value = config.get(name, default)
    if value not in accepted:
        expected = " or ".join(repr(choice) for choice in accepted)
        raise UserError(f"{where}{name} is {value!r}, which is not supported; expected {expected}")
    return value


# --- OpenCLIP ---------------------------------------------------------------------------------


def describe_open_clip(config: Mapping[str, Any], *, source: str) -> ModelDescription:
    """The model that an `open_clip_config.json` describes.

    Args:
        config: the file's content.
        source: the file's path, for the messages.

    Raises:
        ValueError: it describes another kind of model (a timm or Hugging Face tower, attention
            pooling, …); names the file and the field.
    """
    model = _section(config, "model_cfg", source=source)
    vision = _section(model, "vision_cfg", source=f"{source}: model_cfg")
    text = _section(model, "text_cfg", source=f"{source}: model_cfg")
    where = f"{source}: model_cfg."
    _refuse_unknown(
        model, {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"}, _OPEN_CLIP_MODEL, where=where
    )
    _refuse_unknown(
        vision,
        {"image_size", "layers", "width", "patch_size"},
        _OPEN_CLIP_VISION,
        where=f"{where}vision_cfg.",
    )
    _refuse_unknown(
        text,
        {"context_length", "vocab_size", "width", "heads", "layers"},
        _OPEN_CLIP_TEXT,
        where=f"{where}text_cfg.",
    )

    def of_vision(name: str, default: int | None = None) -> int:
        return _dimension(vision, name, default, where=f"{where}vision_cfg.")

    def of_text(name: str, default: int | None = None) -> int:
        return _dimension(text, name, default, where=f"{where}text_cfg.")

    quick_gelu = _require(model, "quick_gelu", (True, False), default=False, where=where)
    # The defaults are OpenCLIP's own.
    architecture = ClipArchitecture(
        embed_dim=_dimension(model, "embed_dim", where=where),
        image_size=of_vision("image_size", 224),
        patch_size=of_vision("patch_size", 16),
        vision_width=of_vision("width", 768),
        vision_layers=of_vision("layers", 12),
        vision_heads=of_vision("width", 768) // of_vision("head_width", 64),
        text_width=of_text("width", 512),
        text_layers=of_text("layers", 12),
        text_heads=of_text("heads", 8),
        context_length=of_text("context_length", 77),
        vocab_size=of_text("vocab_size", 49408),
        activation="quick_gelu" if quick_gelu else "gelu",
    )
    return ModelDescription("clip", architecture)


def _refuse_unknown(
    config: Mapping[str, Any], dimensions: set[str], settings: Mapping[str, Any], *, where: str
) -> None:
    for name, value in config.items():
        if name in dimensions:
            continue
        if name not in settings:
            raise UserError(
                f"{where}{name} is {value!r}: this kind of model is not supported (only CLIP's own "
                "vision and text transformers are)"
            )
        if settings[name] is not _UNUSED:
            _require(config, name, settings[name], default=None, where=where)


def open_clip_normalisation(config: Mapping[str, Any], *, source: str) -> Normalisation:
    """The pixel statistics of an `open_clip_config.json`, CLIP's own where it gives none."""
    preprocessing = config.get("preprocess_cfg") or {}
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
        ValueError: it describes another model, or one that computes what ours do not; names the
            file and the field.
    """
    family = _require(config, "model_type", ("clip", "xclip"), default=None, where=f"{source}: ")
    vision = _hugging_face_tower(config, "vision", source=source)
    text = _hugging_face_tower(config, "text", source=source)
    where = f"{source}: "
    of_vision, of_text = f"{where}vision_config.", f"{where}text_config."
    activation = _require(
        vision, "hidden_act", ("quick_gelu", "gelu"), default="quick_gelu", where=of_vision
    )
    _require(text, "hidden_act", (activation,), default="quick_gelu", where=of_text)
    _require(vision, "num_channels", (3,), default=3, where=of_vision)
    # 2 is what early files say, and stands for "the largest id of the row".
    vocab_size = _dimension(text, "vocab_size", 49408, where=of_text)
    end_tokens = (2, END_TOKEN, vocab_size - 1)
    if family == "clip":
        _require(text, "eos_token_id", end_tokens, default=END_TOKEN, where=of_text)
    embed_dim = _dimension(config, "projection_dim", 512, where=where)
    architecture = ClipArchitecture(
        embed_dim=embed_dim,
        image_size=_dimension(vision, "image_size", 224, where=of_vision),
        patch_size=_dimension(vision, "patch_size", 32, where=of_vision),
        vision_width=_dimension(vision, "hidden_size", 768, where=of_vision),
        vision_layers=_dimension(vision, "num_hidden_layers", 12, where=of_vision),
        vision_heads=_dimension(vision, "num_attention_heads", 12, where=of_vision),
        text_width=_dimension(text, "hidden_size", 512, where=of_text),
        text_layers=_dimension(text, "num_hidden_layers", 12, where=of_text),
        text_heads=_dimension(text, "num_attention_heads", 8, where=of_text),
        context_length=_dimension(text, "max_position_embeddings", 77, where=of_text),
        vocab_size=vocab_size,
        activation=activation,
    )
    if family == "clip":
        return ModelDescription("clip", architecture)
    _require(config, "prompt_hidden_act", (activation,), default="quick_gelu", where=where)
    _require(vision, "mit_hidden_size", (embed_dim,), default=512, where=of_vision)
    _require(vision, "mit_intermediate_size", (4 * embed_dim,), default=2048, where=of_vision)
    return ModelDescription(
        "xclip",
        architecture,
        num_frames=_dimension(vision, "num_frames", 8, where=of_vision),
        integration_layers=_dimension(vision, "mit_num_hidden_layers", 1, where=of_vision),
        integration_heads=_dimension(vision, "mit_num_attention_heads", 8, where=of_vision),
        prompt_layers=_dimension(config, "prompt_layers", 2, where=where),
        prompt_heads=_dimension(config, "prompt_num_attention_heads", 8, where=where),
    )


def _hugging_face_tower(config: Mapping[str, Any], tower: str, *, source: str) -> Mapping[str, Any]:
    """The fields of a tower; where a file has `*_config_dict` (an early form), that one counts."""
    name = f"{tower}_config"
    fields = dict(config.get(name) or {}) | dict(config.get(f"{name}_dict") or {})
    where = f"{source}: {name}."
    width = _dimension(fields, "hidden_size", 768 if tower == "vision" else 512, where=where)
    default_hidden = 3072 if tower == "vision" else 2048
    _require(fields, "intermediate_size", (4 * width,), default=default_hidden, where=where)
    _require(fields, "layer_norm_eps", (1e-5,), default=1e-5, where=where)
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


def published_normalisation(family: str) -> Normalisation:
    """The pixel statistics that published weights of a family were trained with."""
    return CLIP if family == "clip" else IMAGENET


def _normalisation(mean: Any, std: Any, default: Normalisation, *, where: str) -> Normalisation:
    if mean is None and std is None:
        return default
    for name, value in (("mean", mean), ("std", std)):
        is_triple = isinstance(value, list) and len(value) == 3
        if not is_triple or not all(
            isinstance(channel, int | float) and 0 <= channel <= 1 for channel in value
        ):
            raise UserError(f"{where} {name} is {value!r}; expected three numbers of 0..1")
    if 0 in std:
        raise UserError(f"{where} std is {std!r}; expected no zeros")
    return Normalisation(*(tuple(255.0 * channel for channel in value) for value in (mean, std)))
