"""Descriptions from a local model: tiny ones, made here and trained for seconds."""

import math
import pathlib
import re
import subprocess
import sys

import pytest

from animal_clip_jax import describe as write
from animal_clip_jax.classes.descriptions import read_descriptions
from animal_clip_jax.classes.writing.journal import journal_path
from animal_clip_jax.classes.writing.questions import Sampling

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEXTS = {
    "Walking": [
        "The animal moves at a steady pace, one foot always on the ground.",
        "Four legs swing in turn while the head stays level.",
    ],
    "Eating": [
        "The head is bent to the ground and the jaws move from side to side.",
        "A beak tears at the food that is held by one foot.",
    ],
    "Swimming": [
        "The body glides through the water, pushed by the tail.",
        "Only the head is above the surface of the lake.",
    ],
}
PROMPT = "Describe {name} in {count} sentences."
TEMPLATE = (
    "{% for message in messages %}[user] {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}[model] {% endif %}"
)


def answer(name: str) -> str:
    return "".join(f"{i}. {text}\n" for i, text in enumerate(TEXTS[name], 1))


def make_model(folder: pathlib.Path, *, template: str | None, steps: int) -> pathlib.Path:
    """A GPT-2 of two layers with a byte-level tokenizer, trained to give the answers above."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    prompts = {name: PROMPT.format(name=name, count=2) for name in TEXTS}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<end>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        [*prompts.values(), *map(answer, TEXTS), "[user] [model] "], trainer
    )
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>"
    )
    wrapped.chat_template = template
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(wrapped),
        n_positions=256,
        n_embd=64,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
    )
    model = transformers.GPT2LMHeadModel(config)
    if steps:
        asked = [
            f"[user] {prompts[name]} [model] " if template else f"{prompts[name]}\n"
            for name in TEXTS
        ]
        whole = [text + answer(name) + "<end>" for text, name in zip(asked, TEXTS, strict=True)]
        wrapped.padding_side = "right"
        batch = wrapped(whole, return_tensors="pt", padding=True, return_token_type_ids=False)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
        for _ in range(steps):
            optimizer.zero_grad()
            model(**batch, labels=labels).loss.backward()
            optimizer.step()
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """So small a model only waits for its threads, above all where tests run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=[None, TEMPLATE], ids=["plain", "chat template"])
def trained(request, tmp_path_factory, one_thread):
    return make_model(tmp_path_factory.mktemp("trained"), template=request.param, steps=80)


@pytest.fixture(scope="module")
def random(tmp_path_factory, one_thread):
    return make_model(tmp_path_factory.mktemp("random"), template=None, steps=0)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "actions.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    (tmp_path / "prompt.txt").write_text(PROMPT, encoding="utf-8")

    def run(model, *arguments, output="out.csv"):
        return write.main(
            [
                f"--labels={tmp_path / 'actions.txt'}",
                "--kind=action",
                f"--model={model}",
                f"--output={tmp_path / output}",
                f"--prompt={tmp_path / 'prompt.txt'}",
                "--num_descriptions=2",
                "--per_request=2",
                "--max_tokens=80",
                *arguments,
            ]
        )

    return run


def test_a_model_that_knows_its_answers(tmp_path, run, trained, capsys):
    assert run(trained, "--temperature=0.1", "--batch_size=2") == 0
    assert read_descriptions(tmp_path / "out.csv", list(TEXTS)) == list(TEXTS.values())
    assert "requests       3 if nothing is rejected" in capsys.readouterr().out


def test_what_a_random_model_says_is_rejected(tmp_path, run, random, capsys):
    assert run(random, "--extra_rounds=1", "--batch_size=2") == 2
    assert not (tmp_path / "out.csv").exists()
    error = capsys.readouterr().err
    assert "error: 3 of 3 classes are incomplete" in error
    for name in TEXTS:
        assert f"\n{name}: 0 of 2; rejected: " in error
    first = journal_path(tmp_path / "out.csv").read_bytes()
    assert first.count(b"\n") == 1 + 2 * 3  # the settings, two rounds of three classes
    # The same seed says the same, another one does not.
    run(random, "--extra_rounds=1", "--batch_size=2", output="again.csv")
    assert journal_path(tmp_path / "again.csv").read_bytes() == first
    run(random, "--extra_rounds=1", "--batch_size=2", "--seed=1", output="other.csv")
    other = journal_path(tmp_path / "other.csv").read_bytes()
    assert not set(first.splitlines()) & set(other.splitlines())


@pytest.mark.parametrize("kept", range(1, 7))
def test_where_it_was_interrupted_changes_nothing(tmp_path, run, random, kept):
    run(random, "--extra_rounds=1", "--batch_size=2")
    journal = journal_path(tmp_path / "out.csv")
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    # As a killed process leaves it: some answers, and half of the next.
    journal.write_bytes(b"".join(lines[:kept]) + lines[kept][:20])
    run(random, "--extra_rounds=1", "--batch_size=2")
    assert journal.read_bytes() == whole


def test_tokens_are_those_of_the_template(trained):
    from animal_clip_jax.classes.writing.local import LocalWriter

    writer = LocalWriter(str(trained), Sampling(1, 1, max_tokens=9), batch_size=1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained)
    if tokenizer.chat_template:
        expected = tokenizer.apply_chat_template(
            [{"role": "user", "content": PROMPT}], add_generation_prompt=True, return_dict=True
        )["input_ids"]
    else:
        expected = tokenizer(PROMPT + "\n")["input_ids"]
    assert writer.count_tokens(PROMPT) == len(expected)


def test_the_estimate_counts_the_tokens_of_the_model(tmp_path, run, random, capsys):
    assert run(random, "--dry_run") == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(random)
    prompts = [PROMPT.format(name=name, count=2) + "\n" for name in TEXTS]
    count = sum(len(tokenizer(prompt)["input_ids"]) for prompt in prompts)
    assert f"prompt tokens  {count} counted with the model's tokenizer" in capsys.readouterr().out
    assert not journal_path(tmp_path / "out.csv").exists()


def without(folder: pathlib.Path, source: pathlib.Path, pattern: str) -> pathlib.Path:
    """A copy of a model without the files whose names match."""
    folder.mkdir()
    for path in source.iterdir():
        if not re.search(pattern, path.name):
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize(
    "pattern, message",
    [
        ("safetensors", "cannot read the model {}: Error no file named model.safetensors"),
        ("tokenizer", "the model {} has no tokenizer: none of tokenizer.json"),
        (r"^config\.json", "cannot read the model {}: Unrecognized model"),
    ],
)
def test_a_folder_that_lacks_something(tmp_path, run, random, capsys, pattern, message):
    folder = without(tmp_path / "model", random, pattern)
    assert run(folder) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message.format(folder)}") and error.count("\n") == 1


def test_pickled_weights_are_not_read(tmp_path, run, random, capsys):
    folder = without(tmp_path / "model", random, "safetensors")
    torch.save({}, folder / "pytorch_model.bin")
    assert run(folder) == 2
    assert "no file named model.safetensors" in capsys.readouterr().err


def test_code_of_a_model_is_not_run(tmp_path, run, random, capsys):
    folder = without(tmp_path / "model", random, r"^config\.json")
    trace = tmp_path / "was_run"
    (folder / "own.py").write_text(f"open({str(trace)!r}, 'w')\n", encoding="utf-8")
    (folder / "config.json").write_text(
        '{"model_type": "own", "auto_map": {"AutoConfig": "own.Config", '
        '"AutoModelForCausalLM": "own.Model"}}',
        encoding="utf-8",
    )
    assert run(folder) == 2
    assert f"error: cannot read the model {folder}" in capsys.readouterr().err
    assert not trace.exists()


@pytest.mark.parametrize("model", ["./no/such/folder", "/no/such/folder"])
def test_no_folder(run, capsys, model):
    assert run(model) == 2
    assert capsys.readouterr().err == f"error: there is no model folder {model}\n"


def test_a_context_that_is_too_small(run, random, capsys):
    assert run(random, "--max_tokens=250") == 2
    error = capsys.readouterr().err
    tokens = re.search(r"the prompt takes (\d+) and the answer may take 250", error)
    assert "has a context of 256 tokens" in error and 256 - 250 < int(tokens[1]) < math.inf


def test_importing_the_command_imports_no_framework():
    program = (
        "import sys, animal_clip_jax.describe;"
        "print({'torch', 'tensorflow', 'transformers', 'tokenizers', 'openai', 'jax'}"
        " & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "set()\n", result.stderr
