"""Every field of a run's configuration, once: its default, what it may hold, what it means.

What the defaults say, and what they leave open, is the published Animal-CLIP's. From this table are
made `configs/default.py`, `--list_fields`, the page of the documentation, and all checks.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args

from ml_collections import ConfigDict

from animal_clip_jax.classes.features import POOLINGS
from animal_clip_jax.models.animal_sources import RECOGNISED, SOURCES
from animal_clip_jax.models.attention import CHOICES
from animal_clip_jax.models.description import VIDEO_FAMILIES
from animal_clip_jax.models.presets import PRESET_NAMES, PRESETS
from animal_clip_jax.models.refinement_options import GRAPHS, UNKNOWN_ANIMALS
from animal_clip_jax.models.rematerialisation import REMAT_POLICIES
from animal_clip_jax.run.accepted import (
    Accepted,
    boolean,
    by_data,
    channels,
    checkpoint,
    either,
    number,
    one_of,
    one_whole_of,
    open_or,
    path,
    some_of,
    text,
    whole,
)
from animal_clip_jax.training import losses
from animal_clip_jax.training.optimizer import ALGORITHMS

NO_VALUE = object()


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of the configuration.

    Attributes:
        name: within its group.
        default: as published.
        accepts: types and range.
        meaning: for a person; continues "NAME: ".
        is_input: names a file or folder that the run is made from, or a word in its place.
        older: the value under which runs behave as they did before there was this field.
    """

    name: str
    default: Any
    accepts: Accepted
    meaning: str
    is_input: bool = False
    older: Any = NO_VALUE


@dataclasses.dataclass(frozen=True)
class Group:
    """Fields that belong together.

    Attributes:
        name: dotted; "" for fields outside all groups.
        meaning: what is to be said of all of them, "" for nothing.
    """

    name: str
    meaning: str
    fields: tuple[Field, ...]


_SHARE = number(0, 1)
_SHARE_BELOW_1 = number(0, below=1)
_LAYERS, _WIDTH = open_or(whole(1, 1000)), open_or(whole(1, 65_536))
_CLIPS = whole(1, 1_000_000)
_ALPHA = either(0, "where mix is False", number(1e-6, 1e6))
_DEVICES = either(-1, "for all that are left", whole(1, 1_000_000))

# fmt: off
GROUPS = (
    Group("", "", (
        Field("seed", 0, whole(0, 2**32 - 1), "of everything that is random"),
        Field("init_from", "", path(),
              "a folder written by `animal-clip convert`, or the workdir of a run; '' starts from "
              "random weights. Of a plain CLIP, what the model has beyond it is initialised",
              is_input=True),
    )),
    Group("model",
          "What a model is made of comes with its weights, so most of it is left open: 0, '' and "
          "() take it from the weights of init_from, or without any as published. What is said "
          "must agree with the weights.", (
        Field("family", "animal_clip", one_of(*VIDEO_FAMILIES), "which model"),
        Field("preset", "",
              either("", "to leave it open", one_of(*PRESET_NAMES), is_open=True),
              "the dimensions of i3d, slowfast, x3d and mvit, by name; others have CLIP's towers",
              older=""),
        Field("num_frames", 0, open_or(whole(1, 1024)),
              "of a clip; as published 8, or as the preset says"),
        Field("num_classes", 0, by_data(0, whole(1, 1_000_000)),
              "that i3d, slowfast, x3d, mvit and evl tell apart; 0 takes the actions of the data",
              older=0),
        Field("integration_layers", 0, _LAYERS, "of the attention between frames; as published 1"),
        Field("prompt_layers", 0, _LAYERS, "of the prompt generators; as published 3, of X-CLIP 2"),
        Field("graph_width", 0, _WIDTH, "hidden width of the relation graph; as published 256"),
        Field("prompt_prefix", 16, whole(1, 1000),
              "learned vectors before the name of an action (video_prompt)", older=16),
        Field("prompt_suffix", 16, whole(1, 1000), "and after it", older=16),
        Field("decoder_layers", 4, whole(1, 1000),
              "of the decoder, of which each reads one of the frozen tower's last blocks (evl)",
              older=4),
        Field("refinement", True, boolean(),
              "False compares video and texts as they are (animal_clip)"),
        Field("graph", "summed", one_of(*GRAPHS),
              "how the relation graph puts an action and the animals that perform it together: "
              "'summed', as published; 'averaged', so that an action of many animals is not theirs "
              "alone, and animals that are not in the clip do not count; 'none' takes the actions' "
              "texts as they are",
              older="summed"),
        Field("adaptive_prompts", True, boolean(),
              "False adds no prompts made of the animals to the video and the actions",
              older=True),
        Field("unknown_animals", "zero", one_of(*UNKNOWN_ANIMALS),
              "what stands for the animals of a clip of which none is known: 'zero', as published, "
              "the same for all such clips; 'from_video' is what the model itself takes them for, "
              "the animals' texts compared with the video",
              older="zero"),
        Field("gate", False, boolean(),
              "the model learns how far to trust the refinement of each clip; weights without a "
              "gate are given one that trusts it half",
              older=False),
        Field("drop_path_rate", 0.0, _SHARE_BELOW_1,
              "stochastic depth of the video tower (animal_clip, xclip, mvit)"),
        Field("remat", "auto", one_of("auto", *REMAT_POLICIES),
              "blocks of the video tower that the backward pass computes again, to save memory: "
              "'blocks' keeps their inputs only, 'dots' the results of their matrix products; "
              "'auto' is 'dots' on processors (animal_clip, xclip), which are no slower with it, "
              "and else 'none'"),
        Field("attention", "auto", one_of(*CHOICES),
              "how the patches of a frame attend to each other: 'xla' writes their weights to "
              "memory, 'fused' never does (on TPUs, and on NVIDIA's GPUs in bfloat16), 'auto' is "
              "fused where the devices can",
              older="xla"),
        Field("dtype", "float32", one_of("float32", "bfloat16"), "of the computation"),
    )),
    Group("model.architecture",
          "The CLIP towers, as published ViT-B/16; of a model without them, image_size counts. "
          "By name, in a file as "
          "`architecture('ViT-B/32')` of configs/default.py, on the command line as "
          "--config.model.architecture=ViT-B/32; or one by one.", (
        Field("embed_dim", 0, _WIDTH, "of the space that images and texts share"),
        Field("image_size", 0, open_or(whole(1, 8192)), "of the square input, in pixels"),
        Field("patch_size", 0, open_or(whole(1, 8192)), "in pixels; divides image_size"),
        Field("vision_width", 0, _WIDTH, "of the image tower; a multiple of vision_heads"),
        Field("vision_layers", 0, _LAYERS, "of the image tower"),
        Field("vision_heads", 0, _WIDTH, "of the image tower"),
        Field("text_width", 0, _WIDTH, "of the text tower; a multiple of text_heads"),
        Field("text_layers", 0, _LAYERS, "of the text tower"),
        Field("text_heads", 0, _WIDTH, "of the text tower"),
        Field("context_length", 0, open_or(whole(3, 65_536)), "longest text, in tokens"),
        Field("vocab_size", 0, open_or(whole(1, 10_000_000)), "tokens that are known"),
        Field("activation", "",
              either("", "to leave it open", one_of("quick_gelu", "gelu"), is_open=True),
              "'quick_gelu' as published, 'gelu' as BioCLIP"),
    )),
    Group("data", "", (
        Field("directory", "", path(), "written by `animal-clip convert-videos`", is_input=True),
        Field("train_split", "train", text(may_be_empty=False), "split of the data"),
        Field("test_split", "test", text(may_be_empty=False),
              "split of the data, or several: 'test+test_night', whose figures are also given for "
              "each"),
        Field("validation_split", "", text(),
              "split of the data on which the best checkpoint is chosen; this or "
              "validation_share, or neither as published: then no checkpoint is the best",
              older=""),
        Field("validation_share", 0.0, _SHARE_BELOW_1,
              "of the training split, by clip id and within each action, that is not trained on: "
              "the best checkpoint is chosen on it",
              older=0.0),
        Field("num_actions", 0, whole(0), "checked against the data; 0 takes what the data has"),
        Field("num_animals", 0, whole(0), "checked against the data; 0 takes what the data has"),
        Field("flip", True, boolean(), "half of the training clips are mirrored"),
        Field("multi_scale_crop", True, boolean(), "training clips are cropped at random"),
        Field("num_workers", 0, whole(0, 1024),
              "threads that decode; 0 leaves the choice to tf.data"),
        Field("mean", (),
              either((), "to leave it open", channels(number(0, 255)), is_open=True),
              "of the pixels, 0 to 255; () takes that of the weights of init_from, or without any "
              "the published (123.675, 116.28, 103.53)"),
        Field("std", (),
              either((), "to leave it open", channels(number(1e-3, 1e6)), is_open=True),
              "of the pixels, as mean; published (58.395, 57.12, 57.375)"),
    )),
    Group("prompts", "The texts of a class: 'names', 'templates', or a CSV file of descriptions.", (
        Field("actions", "names", path(may_be_empty=False), "texts of the actions", is_input=True),
        Field("animals", "names", path(may_be_empty=False), "texts of the animals", is_input=True),
        Field("pooling", "max", one_of(*POOLINGS), "over a class's texts; published 'max'"),
        Field("cache", "", path(),
              "a folder that keeps the features of texts for the next start; '' is "
              "~/.cache/animal_clip_jax/class_features (or below $XDG_CACHE_HOME), 'none' keeps "
              "nothing"),
    )),
    Group("relation", "Which animal performs which action.", (
        Field("file", "", path(),
              "lines of `animal<TAB>[action ids]<TAB>count`; '' takes the training split's "
              "annotations",
              is_input=True),
        Field("taxonomy", "", path(),
              "a CSV file (animal,class): animals with fewer than min_clips training clips also "
              "get the actions of all animals of their class; '' leaves the relation as it is",
              is_input=True),
        Field("min_clips", 0, whole(0), "see taxonomy; 0 leaves the relation as it is"),
        Field("similarity", 0.0, either(0, "to leave the relation as it is", number(1e-6, 1e6)),
              "the temperature of a softmax over cosines of texts, by which animals also perform, "
              "with less weight, what animals with similar texts do: so one that training never "
              "showed is not one that does nothing. Small ones, such as 0.02, take over from the "
              "most similar animals alone; 0, as published, takes over nothing",
              older=0.0),
    )),
    Group("animals",
          "Where the animals of a clip come from in training. 'labels', as published: its "
          "annotated animals. 'predicted': a frozen image-text model compares the frames with the "
          "animals' names. 'learned': a light head on what that model sees, fitted to the training "
          "split. 'none': the model is not told.", (
        Field("source", "labels", one_of(*SOURCES), "of the animals in training"),
        Field("label_dropout", 0.0, _SHARE, "share of training clips that are told by otherwise"),
        Field("otherwise", "none", one_of(*SOURCES), "source for the share label_dropout"),
        Field("weights", "", path(),
              "the image-text model: a folder written by `animal-clip convert`, such as BioCLIP's; "
              "'' takes the CLIP towers of init_from",
              is_input=True),
        Field("num_frames", 4, whole(1, 1024), "that it looks at in each clip"),
        Field("prompts", "templates", path(may_be_empty=False),
              "the texts of an animal for it, averaged: 'names', 'templates' or a CSV file of "
              "descriptions",
              is_input=True),
        Field("temperature", 1.0, number(1e-6, 1e6), "divides its logits; above 1 it is less sure"),
        Field("top_k", 5, whole(0), "animals that keep their probability in a clip; 0 keeps all"),
        Field("head_l2", 1e-3, number(1e-30), "penalty on the weights of the learned head"),
    )),
    Group("augmentation", "Of training clips, every frame of a clip alike.", (
        Field("jitter_probability", 0.8, _SHARE, "of changed colours, by the four that follow"),
        Field("brightness", 0.4, _SHARE, "times a factor within 1 ± this"),
        Field("contrast", 0.4, _SHARE, "times a factor within 1 ± this"),
        Field("saturation", 0.2, _SHARE, "times a factor within 1 ± this"),
        Field("hue", 0.1, number(0, 0.5), "turned by up to this share of the circle of colours"),
        Field("grey_probability", 0.2, _SHARE, "of losing all colour"),
        Field("mix", True, boolean(), "MixUp or CutMix, half and half"),
        Field("mixup_alpha", 0.8, _ALPHA, "α of MixUp"),
        Field("cutmix_alpha", 1.0, _ALPHA, "α of CutMix"),
    )),
    Group("", "", (
        Field("loss", "cross_entropy", by_data("", one_of(*losses.REDUCTIONS)),
              "that is trained on; '' is binary_cross_entropy where clips have several "
              "actions, cross_entropy elsewhere"),
        Field("distribution_balanced_bias", "paper", one_of(*get_args(losses.BiasVariant)),
              "the bias of each action in distribution_balanced: as in the paper, or as in its "
              "authors' code, which also divides it by the factor of the negatives",
              older="paper"),
    )),
    Group("optimizer", "The rate rises from 0 in the warm-up, and then falls as a cosine.", (
        Field("name", "adamw", one_of(*ALGORITHMS),
              "'sgd' has Nesterov's momentum, beta1, and adds the weight decay to the gradient",
              older="adamw"),
        Field("learning_rate", 8e-6, number(0), "the highest, for what CLIP brings"),
        Field("new_multiplier", 10.0, number(0), "times that, for what CLIP does not bring"),
        Field("minimum_learning_rate", 8e-8, number(0), "at the end"),
        Field("weight_decay", 0.001, number(0), "times the learning rate, a step"),
        Field("beta1", 0.9, _SHARE_BELOW_1, "of the running mean of the gradients"),
        Field("beta2", 0.98, _SHARE_BELOW_1, "of the running mean of their squares"),
        Field("epsilon", 1e-8, number(1e-30), "added to the root of that mean"),
        Field("clip_norm", 0.0, number(0), "of the gradient over all parameters; 0 leaves it"),
        Field("ema_decay", 0.0, _SHARE_BELOW_1,
              "of averaged parameters, used in evaluation; 0 keeps none"),
    )),
    Group("", "", (
        Field("epochs", 30, by_data(0, whole(1, 1_000_000)),
              "length of the training; 0 makes it about 1200 steps, in 30 to 100 epochs"),
        Field("warmup_epochs", 5, whole(0, 1_000_000), "of them, in which the rate rises"),
        Field("batch_size", 64, by_data(0, _CLIPS),
              "clips an optimizer step, over all devices and micro-batches; 0 is 64, or fewer "
              "where an epoch would have fewer than 8 steps"),
        Field("accumulation", 4, by_data(0, _CLIPS),
              "micro-batches a step; divides batch_size; 0 makes them of at most 16 clips on each "
              "device"),
    )),
    Group("mesh", "Devices along each axis; -1 for one of them takes all that the others leave.", (
        Field("data", -1, _DEVICES, "they share the clips"),
        Field("fsdp", 1, _DEVICES,
              "they share the clips, the parameters and the optimizer's state"),
        Field("model", 1, _DEVICES,
              "they share attention heads and hidden units"),
    )),
    Group("evaluation", "", (
        Field("every_epochs", 1, whole(1), "epochs between tests in one view of each clip"),
        Field("batch_size", 32, _CLIPS, "clips, over all devices"),
        Field("temporal_views", 4, whole(1, 1000),
              "of a clip, at the end of training and in an evaluation"),
        Field("crops", 3, one_whole_of(1, 3),
              "of each of these views: the middle, or three side by side"),
        Field("animal_sources", ("labels", "none"), some_of(SOURCES),
              "where the animals come from in testing, as in animals.source; several are reported "
              "side by side. Published figures are of 'labels', which a video that nobody labelled "
              "does not have"),
        Field("checkpoint", "latest", checkpoint(), "that is evaluated, or predicts"),
        Field("scores", "as_trained", one_of("as_trained", "softmax"),
              "what the logits of a view become before the views are put together: 'as_trained' is "
              "a sigmoid for losses that judge each action by itself, a softmax for the others; "
              "'softmax', as published, whatever the loss",
              older="softmax"),
        Field("open_vocabulary", False, boolean(),
              "takes data whose actions or animals are not those of the training"),
        Field("shuffle_frames", False, boolean(), "also report the metrics with shuffled frames"),
    )),
    Group("checkpoint", "", (
        Field("every_epochs", 1, whole(1), "epochs between checkpoints"),
        Field("keep", 3, whole(1), "newest ones; the best is kept beside them"),
        Field("select_best_on", "validation", one_of("validation", "test_as_published"),
              "the best by mAP, or by top-1 for a single label: on the clips of 'validation', see "
              "data.validation_split; or on the test split, 'test_as_published', which makes its "
              "test figures too good",
              older="test_as_published"),
    )),
    Group("", "", (
        Field("log_every_steps", 20, whole(1), "steps between lines of metrics.jsonl"),
        Field("profile", False, boolean(), "writes a trace of a few steps to the workdir"),
    )),
    Group("predict", "", (
        Field("video", "", path(), "whose actions are asked for"),
        Field("animals", "", text(), "names in the video, separated by ';'; '' if not known"),
        Field("source", "", one_of("", *RECOGNISED, "none"),
              "where they come from if not; '' takes the first of evaluation.animal_sources that "
              "needs no labels"),
        Field("action_labels", "", path(),
              "file of names, one a line, of other actions than those of the training; their texts "
              "are those of prompts"),
        Field("animal_labels", "", path(), "likewise of other animals"),
        Field("top_k", 5, whole(1), "actions that are listed"),
        Field("calibration", True, boolean(),
              "uses the temperature and the thresholds of `animal-clip calibrate`, if the run has "
              "some for this checkpoint",
              older=True),
    )),
)
# fmt: on

FIELDS: Mapping[str, Field] = {
    f"{group.name}.{field.name}".lstrip("."): field for group in GROUPS for field in group.fields
}


_OF_PRESETS = ("model.preset", "model.num_frames", "model.architecture.image_size")


def is_dimension(name: str, family: str) -> bool:
    """Whether a field of `model` that may be open is a dimension of a family's models."""
    return name in _OF_PRESETS if family in PRESETS else name != "model.preset"


def default_config() -> ConfigDict:
    """The configuration of the defaults."""
    return nested({name: field.default for name, field in FIELDS.items()})


def nested(flat: Mapping[str, Any]) -> ConfigDict:
    """A configuration from its leaves by dotted name."""
    config = ConfigDict()
    for name, value in flat.items():
        *groups, leaf = name.split(".")
        branch = config
        for group in groups:
            if group not in branch:
                branch[group] = ConfigDict()
            branch = branch[group]
        branch[leaf] = value
    return config
