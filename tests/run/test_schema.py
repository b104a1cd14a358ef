"""The schema of the configuration: what it refuses, by name and before anything is written."""

import json
import math
import sys

import pytest
import tiny_run
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict, config_dict

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_path
from animal_clip_jax.inference.loading import load
from animal_clip_jax.run.config import check_fields, check_fields_of_use, complete, differences
from animal_clip_jax.run.config_flags import list_of_fields, read_config_file, with_fields
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.schema import flat_config
from animal_clip_jax.run.train import train
from animal_clip_jax.run.workdir import read_config
from configs import default
from docs.field_table import tables

CONFIGS = sorted(path.stem for path in (tiny_run.ROOT / "configs").glob("[!_]*.py"))
NAN, INF = math.nan, math.inf

# Of each field, values that it may not have.
WHOLE = (0, -1, True, 1.0, 10**20, 10**5000, "1", None)
BY_DATA = WHOLE[1:]
FROM_0 = (-1, True, 0.5, 2**31, "0", None)
OPEN = (-1, True, 8.0, 10**9, "8", None)
# A ConfigDict makes 1.0 of True where a number is; JSON does not, see below.
SHARE = (-0.1, 1.1, 2, NAN, INF, "0.5", None)
BELOW_1 = (1.0, *SHARE)
POSITIVE = (0.0, -1.0, NAN, INF, -INF, 1e31, "1", None)
NOT_NEGATIVE = POSITIVE[1:]
ALPHA = (-1.0, 1e-38, NAN, INF, None)
SWITCH = (0, 1, "True", None)
NAME = ("", "Labels", 1, True, None, "a\nb", "\0")
LINE = (
    "a\nb",
    "a\0b",
    "a\rb",
    "a\x1bb",
    "a\u2028b",
    "\udcff",
    3,
    True,
    None,
    ("a",),
    "a" * 200_000,
)
NOT_EMPTY = ("", *LINE)
WRONG = {
    "seed": (-1, 2**32, True, 0.0, "0", None),
    "init_from": LINE,
    "model.family": (*NAME, "clip"),
    **dict.fromkeys(
        [
            *("model.num_frames", "model.integration_layers", "model.prompt_layers"),
            "model.graph_width",
            *(
                f"model.architecture.{name}"
                for name in ("embed_dim", "image_size", "patch_size", "vision_width")
            ),
            *(f"model.architecture.vision_{name}" for name in ("layers", "heads")),
            *(f"model.architecture.text_{name}" for name in ("width", "layers", "heads")),
            "model.architecture.vocab_size",
        ],
        OPEN,
    ),
    "model.architecture.context_length": (1, 2, *OPEN),
    "model.architecture.activation": ("relu", *NAME[1:]),
    "model.preset": ("X3D", *NAME[1:]),
    "model.num_classes": BY_DATA,
    **dict.fromkeys(("model.prompt_prefix", "model.prompt_suffix", "model.decoder_layers"), WHOLE),
    "model.refinement": SWITCH,
    "model.graph": (*NAME, "mean"),
    "model.adaptive_prompts": SWITCH,
    "model.unknown_animals": (*NAME, "from_clip"),
    "model.gate": SWITCH,
    "model.drop_path_rate": BELOW_1,
    "model.remat": NAME,
    "model.attention": (*NAME, "cudnn"),
    "model.dtype": (*NAME, "float16"),
    "data.directory": LINE,
    "data.train_split": NOT_EMPTY,
    "data.test_split": NOT_EMPTY,
    "data.validation_split": LINE,
    "data.validation_share": BELOW_1,
    "data.num_actions": FROM_0,
    "data.num_animals": FROM_0,
    "data.flip": SWITCH,
    "data.multi_scale_crop": SWITCH,
    "data.num_workers": (*FROM_0, 10**6),
    "data.mean": ((1.0, 2.0), (1, 2, 3, 4), (1, NAN, 3), (-1, 2, 3), 3, "abc", (True, 1, 2), None),
    "data.std": ((1, 0, 1), (1, -1, 1), (1, INF, 1), (1, 1), (1, "1", 1), ((1,), 1, 1), 1.0, None),
    "prompts.actions": NOT_EMPTY,
    "prompts.animals": NOT_EMPTY,
    "prompts.pooling": NAME,
    "prompts.cache": LINE,
    "relation.file": LINE,
    "relation.taxonomy": LINE,
    "relation.min_clips": FROM_0,
    "relation.similarity": ALPHA,
    "animals.source": (*NAME, "guess"),
    "animals.label_dropout": SHARE,
    "animals.otherwise": NAME,
    "animals.weights": LINE,
    "animals.num_frames": WHOLE,
    "animals.prompts": NOT_EMPTY,
    "animals.temperature": (*POSITIVE, 1e-30),
    "animals.top_k": FROM_0,
    "animals.head_l2": POSITIVE,
    "augmentation.jitter_probability": SHARE,
    "augmentation.brightness": SHARE,
    "augmentation.contrast": SHARE,
    "augmentation.saturation": SHARE,
    "augmentation.hue": (0.6, *SHARE),
    "augmentation.grey_probability": SHARE,
    "augmentation.mix": SWITCH,
    "augmentation.mixup_alpha": ALPHA,
    "augmentation.cutmix_alpha": ALPHA,
    "loss": (*NAME[1:], "hinge"),
    "distribution_balanced_bias": NAME,
    "optimizer.name": (*NAME, "adam"),
    "optimizer.learning_rate": NOT_NEGATIVE,
    "optimizer.new_multiplier": NOT_NEGATIVE,
    "optimizer.minimum_learning_rate": NOT_NEGATIVE,
    "optimizer.weight_decay": NOT_NEGATIVE,
    "optimizer.beta1": BELOW_1,
    "optimizer.beta2": BELOW_1,
    "optimizer.epsilon": (*POSITIVE, 1e-40),
    "optimizer.clip_norm": NOT_NEGATIVE,
    "optimizer.ema_decay": BELOW_1,
    "epochs": BY_DATA,
    "warmup_epochs": FROM_0,
    "batch_size": BY_DATA,
    "accumulation": BY_DATA,
    **dict.fromkeys(("mesh.data", "mesh.fsdp", "mesh.model"), (0, -2, *WHOLE[2:])),
    "evaluation.every_epochs": WHOLE,
    "evaluation.batch_size": WHOLE,
    "evaluation.temporal_views": WHOLE,
    "evaluation.crops": (2, 0, -1, 4, True, "3", 3.0, None),
    "evaluation.animal_sources": ((), ("guess",), ("none", "none"), "none", (1,), None),
    "evaluation.checkpoint": ("worst", "", "-1", "²", "1.0", "9" * 5000, 3, None),
    "evaluation.scores": (*NAME, "raw"),
    "evaluation.open_vocabulary": SWITCH,
    "evaluation.shuffle_frames": SWITCH,
    "checkpoint.every_epochs": WHOLE,
    "checkpoint.keep": WHOLE,
    "checkpoint.select_best_on": (*NAME, "test"),
    "log_every_steps": WHOLE,
    "profile": SWITCH,
    "predict.video": LINE,
    "predict.animals": LINE,
    "predict.source": ("labels", *NAME[1:]),
    "predict.action_labels": LINE,
    "predict.animal_labels": LINE,
    "predict.top_k": WHOLE,
    "predict.calibration": SWITCH,
}
# At the ends of their ranges.
RIGHT = {
    "seed": (0, 2**32 - 1),
    "model.num_frames": (0, 1),
    "model.drop_path_rate": (0, 0.999),
    "data.validation_share": (0, 0.5),
    "data.num_workers": (0, 64),
    "data.mean": ((), (0, 0, 0), [127.5, 127.5, 255]),
    "data.std": ((), (1, 1, 1), (127.5, 127.5, 127.5)),
    "data.directory": ("", "gs://bucket/data", "/Füchse und Rehe/日本"),
    "animals.label_dropout": (0, 1.0),
    "animals.top_k": (0, 1000),
    "augmentation.jitter_probability": (0, 1),
    "augmentation.hue": (0, 0.5),
    "optimizer.learning_rate": (0, 1e-12, 1, 10.0),
    "optimizer.minimum_learning_rate": (0,),
    "optimizer.new_multiplier": (0, 1000),
    "optimizer.weight_decay": (0, 10.0),
    "optimizer.clip_norm": (0, 1e-3, 1e6),
    "optimizer.epsilon": (1e-20, 1.0),
    "optimizer.beta1": (0, 0.9999),
    "warmup_epochs": (0, 30),
    "epochs": (0, 5, 100_000),
    "batch_size": (0, 4, 65_536),
    "accumulation": (0, 1, 64),
    "loss": ("", "ldam"),
    "mesh.data": (-1, 1, 4096),
    "evaluation.crops": (1, 3),
    "evaluation.checkpoint": ("best", "0", "123456"),
    "evaluation.animal_sources": (("none",), ["labels", "none"]),
}


def changed(config: ConfigDict, **fields) -> ConfigDict:
    """The configuration with fields by name, whatever their types; `__` for the dots."""
    config = config.copy_and_resolve_references()
    with config.ignore_type():
        for name, value in fields.items():
            *groups, leaf = name.split("__")
            branch = config
            for group in groups:
                branch = branch[group]
            branch[leaf] = value
    return config


def with_value(name: str, value) -> ConfigDict:
    return changed(default.get_config(), **{name.replace(".", "__"): value})


def message_of(call, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments)
    return str(caught.value)


def test_every_field_is_in_the_table():
    assert WRONG.keys() == flat_config(default.get_config()).keys()
    assert RIGHT.keys() < WRONG.keys()


@pytest.mark.parametrize("name", WRONG)
def test_a_value_outside_its_range_is_refused_by_name_and_nothing_is_written(name, tmp_path):
    for value in WRONG[name]:
        config = with_value(name, value)
        message = message_of(train, config, tmp_path / "run")
        assert message.startswith(f"config.{name} is "), value
        assert "; expected " in message and len(message) < 500 and "\n" not in message
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", RIGHT)
def test_a_value_at_the_end_of_its_range_is_taken(name):
    for value in RIGHT[name]:
        check_fields(with_value(name, value))


@given(
    # An independent table of the closed ranges of numbers.
    st.sampled_from(
        [
            ("optimizer.learning_rate", 0, 1e30),
            ("optimizer.weight_decay", 0, 1e30),
            ("optimizer.beta2", 0, 1 - 1e-16),
            ("augmentation.grey_probability", 0, 1),
            ("augmentation.hue", 0, 0.5),
            ("animals.temperature", 1e-6, 1e6),
            ("optimizer.epsilon", 1e-30, 1e30),
        ]
    ),
    st.floats() | st.floats(-2, 2) | st.integers(),
)
def test_any_number_is_taken_exactly_if_it_is_in_range(field, value):
    name, least, most = field
    config = with_value(name, value)
    if least <= value <= most:
        check_fields(config)
    else:
        assert message_of(check_fields, config).startswith(f"config.{name} is ")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_committed_configuration_passes(name):
    config = read_config_file(tiny_run.ROOT / "configs" / f"{name}.py")
    check_fields(with_fields(config, []))


def test_one_message_lists_all_that_is_wrong(tmp_path):
    config = changed(
        default.get_config(),
        optimizer__learning_rate=-1.0,
        evaluation__crops=2,
        loss="focl",
        warmup_epochs=99,
        data__validation_split="val",
        data__validation_share=0.5,
    )
    del config.mesh
    config.optimiser = 3
    message = message_of(train, config, tmp_path / "run")
    assert message.startswith("7 mistakes in the configuration: (1) ")
    for part in (
        "no field config.optimiser; did you mean config.optimizer",
        "lacks config.mesh",
        "config.optimizer.learning_rate is -1.0; expected a number from 0",
        "config.evaluation.crops is 2; expected 1 or 3",
        "did you mean focal?",
        "config.warmup_epochs is 99; expected at most config.epochs",
        "give one of them",
    ):
        assert part in message
    assert not list(tmp_path.iterdir())


def test_flags_and_the_file_are_said_together():
    config = changed(default.get_config(), batch_size=-1, relation__min_clips=3)
    flags = ["--config.epochs=many", "--config.model.architecture=ViT-B/33", "--config.nope=1"]
    flags += ["--config.optimizer.beta1=nan", "--config.data.mean=(1,2)", "--config.loss=ldam"]
    message = message_of(with_fields, config, flags)
    assert message.startswith("7 mistakes")
    for part in (
        "--config.epochs=many: expected a whole number from 1",
        "did you mean ViT-B/32?",
        "no field config.nope",
        "config.optimizer.beta1 is nan",
        "config.data.mean is (1, 2); expected three numbers",
        "config.batch_size is -1",
        "config.relation.min_clips is 3 and config.relation.taxonomy ''",
    ):
        assert part in message


def test_flags_mend_what_is_wrong_in_a_file():
    config = changed(default.get_config(), batch_size=-1, optimizer__learning_rate=1)
    fields = ["--config.batch_size=8", "--config.data.std=[1,2,3]"]
    config = with_fields(config, fields)
    check_fields(config)
    assert config.batch_size == 8 and config.data.std == (1.0, 2.0, 3.0)
    assert isinstance(config.optimizer.learning_rate, float)


def test_a_flag_changes_what_refers_to_its_field(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from configs import default\n"
        "def get_config():\n"
        "    config = default.get_config()\n"
        "    config.warmup_epochs = config.get_ref('epochs') // 10\n"
        "    return config\n"
    )
    assert with_fields(read_config_file(file), ["--config.epochs=80"]).warmup_epochs == 8


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("config.epoch = 3", "no field config.epoch; did you mean config.epochs?"),
        ("config.lock(); config.epoch = 3", "line 4: AttributeError: "),
        ("config.epochs = 'many'", "line 4: TypeError: "),
        ("del config.epochs", "the configuration lacks config.epochs"),
        ("del config.mesh, config.data.flip", "lacks config.data.flip, config.mesh"),
        ("config.new = 3", "no field config.new"),
        ("config.data.derectory = ''", "mean config.data.directory?"),
        ("config.epochs = None", "config.epochs is None; expected a whole number"),
        ("config.epochs = True", "config.epochs is True; expected a whole number"),
        ("del config.epochs; config.epochs = required(int)", "config.epochs is None"),
        ("del config.mesh; config.mesh = 3", "config.mesh is 3; expected a group of fields"),
        ("config = config.to_dict()", "returns dict, not a ConfigDict"),
        ("return None", "returns NoneType, not a ConfigDict"),
        ("config = ConfigDict()", "lacks config.seed, config.init_from, config.model, config.data"),
        ("raise SystemExit(0)", "line 4: SystemExit: 0"),
        ("exit('gone')", "SystemExit: gone"),
        ("raise ValueError('a\\nb' * 1000)", "line 4: ValueError: a b"),
        ("return 1 / 0", "line 4: ZeroDivisionError"),
        ("import no_such_module", "line 4: ModuleNotFoundError: "),
        ("return get_config()", "RecursionError: max"),
    ],
)
def test_a_file_of_ones_own_is_answered_in_one_line(body, message, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from configs.default import *; from ml_collections.config_dict import "
        "required_placeholder as required\n"
        "def get_config(default=get_config):\n"
        f"    config = default()\n    {body}\n    return config\n"
    )
    path = list(sys.path)
    found = message_of(read_config_file, file)
    assert found.startswith(f"{file}: ") and message in found
    assert len(found) < 600 and "\n" not in found
    assert sys.path == path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"def get_config(:\n", "line 1: SyntaxError"),
        (b"a = '\0'\n", "SyntaxError"),
        (b"\xff\xfe\n", "SyntaxError"),
        (b"get_config = 3\n", "it has no function get_config()"),
        (b"def get_config(name): pass\n", "TypeError"),
        (b"raise SystemExit\n", "line 1: SystemExit"),
    ],
)
def test_a_file_that_is_no_configuration(content, message, tmp_path):
    file = tmp_path / "mine.py"
    file.write_bytes(content)
    found = message_of(read_config_file, file)
    assert found.startswith(f"{file}: ") and message in found


def recorded() -> dict:
    return json.loads(json.dumps(tiny_run.get_config().to_dict()))


def edited(**fields) -> str:
    content = recorded()
    for name, value in fields.items():
        *groups, leaf = name.split("__")
        branch = content
        for group in groups:
            branch = branch[group]
        if value is ...:
            del branch[leaf]
        else:
            branch[leaf] = value
    return json.dumps(content)


DAMAGED = {
    "": "it cannot be read as JSON",
    "{": "it cannot be read as JSON",
    "[]": "it holds []; expected an object",
    "null": "it holds None",
    "3": "it holds 3",
    "{}": "the configuration lacks config.seed",
    "[" * 100_000: "nested too deep",
    '{"a":' * 100_000: "nested too deep",
    '{"seed": ' + "1" * 5000 + "}": "a number has 5000 digits",
    '{"seed": 1, "seed": 2}': "'seed' is there twice",
    " " * 1_000_001: "1000001 characters; expected at most",
    edited(seed="0"): "config.seed is '0'; expected a whole number",
    edited(epochs=2.0): "config.epochs is 2.0; expected a whole number",
    edited(epochs=True): "config.epochs is True",
    edited(profile=1): "config.profile is 1; expected True or False",
    edited(optimizer__beta1=True): "config.optimizer.beta1 is True; expected a number from 0",
    edited(optimizer__beta1=NAN): "config.optimizer.beta1 is nan",
    edited(optimizer__beta1=INF): "config.optimizer.beta1 is inf",
    edited(optimizer__beta1=0).replace('"beta1": 0', '"beta1": 1e999'): "beta1 is inf",
    edited(optimizer__beta1=None): "config.optimizer.beta1 is None",
    edited(data__mean="123"): "config.data.mean is '123'",
    edited(data__mean=[1, [2], 3]): "config.data.mean is [1, [2], 3]",
    edited(data=[]): "config.data is []; expected a group of fields",
    edited(data={}): "lacks config.data",
    edited(epochs={"a": 1}): "config.epochs is {'a': 1}",
    edited(epochs=...): "lacks config.epochs",
    edited(epoch=3): "no field config.epoch; did you mean config.epochs?",
    edited(**{"data.flip": True}): "no field config.data.flip",
    edited(**{"a" * 10_000: True}): "no field config.aaa",
    edited(loss="x" * 900_000, seed=-1.5): "config.seed is -1.5",
}


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_the_damaged_configuration_of_a_run_is_answered_in_one_line(content, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(content)
    for found in (
        message_of(read_config_file, file),
        message_of(read_config, as_path(tmp_path)),
    ):
        assert found.startswith(str(file)) and DAMAGED[content] in found
        assert len(found) < 1200 and "\n" not in found


def test_of_very_many_fields_that_there_are_not_some_are_named(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(edited(**{f"field{number}": 1 for number in range(30_000)}))
    found = message_of(read_config_file, file)
    assert "21 mistakes" in found and "29980 more" in found and len(found) < 3000


def test_a_recorded_configuration_that_is_no_text(tmp_path):
    file = tmp_path / "config.json"
    file.write_bytes(b"\xff{}")
    assert "config.json: 'utf-8' codec" in message_of(read_config_file, file)


def test_a_recorded_configuration_gets_the_types_of_its_fields():
    """Other programs write 1.0 as 1, and JSON knows no tuples."""
    content = recorded()
    content["optimizer"]["new_multiplier"] = 5
    config = complete(content)
    assert repr(config.optimizer.new_multiplier) == "5.0"
    assert config.data.mean == tuple(content["data"]["mean"])
    assert config.evaluation.animal_sources == ("none", "labels")
    assert config.to_dict() == tiny_run.get_config().to_dict()


def test_what_a_run_was_trained_with_is_not_judged_again():
    config = tiny_run.get_config()
    config.optimizer.learning_rate, config.warmup_epochs = -1.0, 99
    check_fields_of_use(config)
    config.evaluation.crops, config.predict.top_k = 2, 0
    assert message_of(check_fields_of_use, config).startswith("2 mistakes")
    config = changed(tiny_run.get_config(), evaluation__animal_sources=("predicted",))
    assert "needs pretrained weights" in message_of(check_fields_of_use, config)


def test_a_wrong_evaluation_or_prediction_leaves_nothing(run):
    before = sorted(path.name for path in run.rglob("*"))
    for name in ("evaluation.crops", "evaluation.temporal_views", "predict.top_k", "mesh.data"):
        config = with_value(name, WRONG[name][0])
        for use in (evaluate, lambda folder, config: load(folder, config=config)):
            assert message_of(use, run, config).startswith(f"config.{name} is ")
    assert sorted(path.name for path in run.rglob("*")) == before


def test_nan_is_equal_to_itself():
    """Or a run could never be gone on with that recorded one."""
    ours = changed(default.get_config(), optimizer__beta1=NAN, data__mean=(1.0, NAN, 2.0))
    theirs = changed(default.get_config(), optimizer__beta1=float("nan"), data__mean=(1.0, NAN, 2))
    assert not differences(ours, theirs)
    theirs.data.mean = (1.0, NAN, 3.0)
    assert differences(ours, theirs).keys() == {"data.mean"}


def test_a_placeholder_that_nobody_fills_is_named(tmp_path):
    config = default.get_config()
    del config.data.directory
    config.data.directory = config_dict.required_placeholder(str)
    assert message_of(train, config, tmp_path / "run").startswith("config.data.directory is None")


def test_the_page_and_the_list_say_of_every_field_what_it_means():
    listed = list_of_fields(default.get_config())
    for text, form in ((tables(), "| `{}` |"), (listed, "\n--config.{}=")):
        for name in WRONG:
            assert f"\n{text}".count(form.format(name)) == 1, name
    page = (tiny_run.ROOT / "docs/reference/configuration.md").read_text()
    assert page.count("<!-- the fields -->") == 1


def test_a_field_whose_name_is_no_text(tmp_path):
    file = tmp_path / "config.py"
    file.write_text(
        "from configs import default\ndef get_config():\n    config = default.get_config()\n"
        "    config.optimizer = {1: 2}\n    return config\n"
    )
    with pytest.raises(UserError, match="no field config.optimizer.1"):
        read_config_file(file)
