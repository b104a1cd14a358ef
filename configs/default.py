"""Every field of a run. What it says and what it leaves open are the published Animal-CLIP's."""

from ml_collections import ConfigDict

from animal_clip_jax.models.architectures import ARCHITECTURES, dimensions


def architecture(name: str) -> ConfigDict:
    """The dimensions of one of CLIP's architectures: ViT-B/32, B/16, L/14 or L/14@336.

    As `--config.model.architecture=NAME` on the command line.
    """
    return ConfigDict(dimensions(ARCHITECTURES[name]) | {"activation": ""})


def get_config() -> ConfigDict:
    """The default configuration; the other files of this folder start from it."""
    config = ConfigDict()
    config.seed = 0

    # What a model is made of comes with its weights, so most of it is left open here: 0, "" and ()
    # take it from the weights of `init_from`, or without any as published. What is said must agree
    # with the weights.
    config.model = ConfigDict()
    config.model.family = "animal_clip"  # or "xclip"
    # The CLIP towers, as published ViT-B/16. By name, in a file as `architecture("ViT-B/32")`, on
    # the command line as --config.model.architecture=ViT-B/32; or one by one.
    config.model.architecture = ConfigDict()
    config.model.architecture.embed_dim = 0  # of the space that images and texts share
    config.model.architecture.image_size = 0  # of the square input, in pixels
    config.model.architecture.patch_size = 0  # in pixels; divides image_size
    config.model.architecture.vision_width = 0
    config.model.architecture.vision_layers = 0
    config.model.architecture.vision_heads = 0
    config.model.architecture.text_width = 0
    config.model.architecture.text_layers = 0
    config.model.architecture.text_heads = 0
    config.model.architecture.context_length = 0  # longest text, in tokens
    config.model.architecture.vocab_size = 0
    config.model.architecture.activation = ""  # "quick_gelu" (as published) or "gelu" (BioCLIP)
    config.model.num_frames = 0  # of a clip; as published 8
    config.model.integration_layers = 0  # of the attention between frames; as published 1
    config.model.prompt_layers = 0  # as published 3, of X-CLIP 2
    config.model.graph_width = 0  # hidden width of the relation graph; as published 256
    config.model.refinement = True  # False compares video and texts as they are (animal_clip)
    config.model.drop_path_rate = 0.0
    # Blocks of the video tower that the backward pass computes again, to save memory: "none",
    # "blocks" (keeps their inputs only) or "dots" (keeps the results of their matrix products).
    config.model.remat = "none"
    config.model.dtype = "float32"  # of the computation: "float32" or "bfloat16"
    # A folder written by `animal-clip convert`, or the workdir of a run; "" starts
    # from random weights. Of a plain CLIP, what the model has beyond it is initialised.
    config.init_from = ""

    config.data = ConfigDict()
    config.data.directory = ""  # written by `animal-clip convert-videos`
    config.data.train_split = "train"
    config.data.test_split = "test"
    # On which clips the best checkpoint is chosen: a split of the data, or a share of the training
    # split, by clip id and within each action, which is not trained on then. Give one of them, or
    # neither, as published: then no checkpoint is the best.
    config.data.validation_split = ""
    config.data.validation_share = 0.0
    config.data.num_actions = 0  # checked against the data; 0 takes what the data has
    config.data.num_animals = 0
    config.data.flip = True
    config.data.multi_scale_crop = True
    config.data.num_workers = 0  # threads that decode; 0 leaves the choice to tf.data
    # Of the pixels, 0 to 255, a value a channel. () takes those of the weights of `init_from`, or
    # without any the published (123.675, 116.28, 103.53) and (58.395, 57.12, 57.375).
    config.data.mean = ()
    config.data.std = ()

    # The texts of a class: "names", "templates", or a CSV file of descriptions.
    config.prompts = ConfigDict()
    config.prompts.actions = "names"
    config.prompts.animals = "names"
    config.prompts.pooling = "max"  # over a class's texts: "max" (published) or "mean"
    # A folder that keeps the features of texts for the next start. "" is
    # ~/.cache/animal_clip_jax/class_features (or below $XDG_CACHE_HOME), "none" keeps nothing.
    config.prompts.cache = ""

    # Which animal performs which action.
    config.relation = ConfigDict()
    # Lines of `animal<TAB>[action ids]<TAB>count`; "" takes the training split's annotations.
    config.relation.file = ""
    # Animals with fewer than `min_clips` training clips also get the actions of all animals of
    # their class in the CSV file `taxonomy` (animal,class); "" and 0 leave the relation as it is.
    config.relation.taxonomy = ""
    config.relation.min_clips = 0

    # Where the animals of a clip come from in training. "labels", as published: its annotated
    # animals. "predicted": a frozen image-text model compares the frames with the animals' names.
    # "learned": a light head on what that model sees, fitted to the training split. "none": the
    # model is not told.
    config.animals = ConfigDict()
    config.animals.source = "labels"
    config.animals.label_dropout = 0.0  # share of training clips that are told otherwise:
    config.animals.otherwise = "none"  # by this source
    # The image-text model: a folder written by `animal-clip convert`, such as
    # BioCLIP's; "" takes the CLIP towers of `init_from`.
    config.animals.weights = ""
    config.animals.num_frames = 4  # that it looks at in each clip
    # The texts of an animal for it, averaged: "names", "templates" or a CSV file of descriptions.
    config.animals.prompts = "templates"
    config.animals.temperature = 1.0  # divides its logits; above 1 it is less sure
    config.animals.top_k = 5  # animals that keep their probability in a clip; 0 keeps all
    config.animals.head_l2 = 1e-3  # penalty on the weights of the learned head

    config.augmentation = ConfigDict()
    config.augmentation.jitter_probability = 0.8
    config.augmentation.brightness = 0.4
    config.augmentation.contrast = 0.4
    config.augmentation.saturation = 0.2
    config.augmentation.hue = 0.1
    config.augmentation.grey_probability = 0.2
    config.augmentation.mix = True  # MixUp or CutMix, half and half
    config.augmentation.mixup_alpha = 0.8
    config.augmentation.cutmix_alpha = 1.0

    # cross_entropy, binary_cross_entropy, asymmetric, distribution_balanced, focal or ldam
    config.loss = "cross_entropy"
    # The bias of each action in distribution_balanced: as in the paper, or as in its authors' code,
    # which also divides it by the factor of the negatives: "paper" or "code".
    config.distribution_balanced_bias = "paper"

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 8e-6
    config.optimizer.new_multiplier = 10.0  # for what CLIP does not bring
    config.optimizer.minimum_learning_rate = 8e-8
    config.optimizer.weight_decay = 0.001
    config.optimizer.beta1 = 0.9
    config.optimizer.beta2 = 0.98
    config.optimizer.epsilon = 1e-8
    config.optimizer.clip_norm = 0.0  # of the gradient over all parameters; 0 leaves it
    config.optimizer.ema_decay = 0.0  # of averaged parameters, used in evaluation; 0 keeps none

    config.epochs = 30
    config.warmup_epochs = 5
    config.batch_size = 64  # clips an optimizer step, over all devices and micro-batches
    config.accumulation = 4  # micro-batches a step

    config.mesh = ConfigDict()
    config.mesh.data = -1  # -1: all devices that the other axes leave
    config.mesh.fsdp = 1
    config.mesh.model = 1

    config.evaluation = ConfigDict()
    config.evaluation.every_epochs = 1
    config.evaluation.batch_size = 32  # clips, over all devices
    # Views a clip at the end of training and in --mode=evaluate; each epoch uses one view.
    config.evaluation.temporal_views = 4
    config.evaluation.crops = 3
    # Where the animals come from in testing, as in `animals.source`; several are reported side by
    # side. Published figures are of "labels", which a video that nobody labelled does not have.
    config.evaluation.animal_sources = ("labels", "none")
    config.evaluation.checkpoint = "latest"  # or "best", for --mode=evaluate and predict
    # What the logits of a view become before the views are put together: "as_trained" is a sigmoid
    # for losses that judge each action by itself, and a softmax for the others; "softmax", as
    # published, whatever the loss.
    config.evaluation.scores = "as_trained"
    # Takes data whose actions or animals are not those of the training: see `run.evaluate`.
    config.evaluation.open_vocabulary = False
    config.evaluation.shuffle_frames = False  # also report the metrics with shuffled frames

    config.checkpoint = ConfigDict()
    config.checkpoint.every_epochs = 1
    config.checkpoint.keep = 3  # newest ones; the best is kept beside them
    # The best by mAP, or by top-1 for a single label: on the clips of "validation", see
    # data.validation_split; or on the test split, "test_as_published", which makes its test figures
    # too good.
    config.checkpoint.select_best_on = "validation"

    config.log_every_steps = 20
    config.profile = False  # writes a trace of a few steps to the workdir

    config.predict = ConfigDict()
    config.predict.video = ""
    config.predict.animals = ""  # names in the video, separated by ";"; "" if not known
    # Where they come from if not: "predicted", "learned" or "none"; "" takes the first of
    # `evaluation.animal_sources` that needs no labels.
    config.predict.source = ""
    # Files of names, one a line, of other actions and animals than those of the training; their
    # texts are those of `prompts`.
    config.predict.action_labels = ""
    config.predict.animal_labels = ""
    config.predict.top_k = 5
    return config
