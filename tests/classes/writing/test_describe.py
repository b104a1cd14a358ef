"""Names, prompts and journals; what is refused before a model is asked."""

import itertools
import json
import re
import sys

import pytest
from chat_server import ChatServer, good_reply, sentences
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax import describe as write
from animal_clip_jax.classes.descriptions import read_descriptions
from animal_clip_jax.classes.labels import read_names
from animal_clip_jax.classes.writing.journal import journal_path, open_journal, read_answers
from animal_clip_jax.classes.writing.output_file import write_descriptions
from animal_clip_jax.classes.writing.questions import (
    Answer,
    Prompt,
    Question,
    read_prompt,
    seed_of,
)
from animal_clip_jax.errors import UserError

SETTINGS = {"model": "writer", "seed": 0}


@pytest.mark.parametrize(
    "file, content, names",
    [
        ("a.txt", "Walking\nEating\n", ["Walking", "Eating"]),
        ("a.txt", "\ufeffWalking\r\n\r\n Man O'War, big \r\n", ["Walking", "Man O'War, big"]),
        ("a.csv", "id,name\n1,Eating\n0,Walking\n", ["Walking", "Eating"]),
        ("a.CSV", '\ufeffid,name\n0,"Walking, slowly"\n\n', ["Walking, slowly"]),
    ],
)
def test_labels(tmp_path, file, content, names):
    (tmp_path / file).write_bytes(content.encode())
    assert read_names(tmp_path / file) == names


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "holds no names; expected one a line"),
        (b" \n\n", "holds no names; expected one a line"),
        (b"Walking\n\xfc\n", "not UTF-8"),
        ("Gehen\nLaufen\n".encode("utf-16"), "not UTF-8"),
        (
            b"Walking\nEating\nWalking\n\nEating\n",
            r"line 3: the name 'Walking' was given before, at \S+ line 1\n"
            r"\S+ line 5: the name 'Eating' was given before, at \S+ line 2$",
        ),
    ],
)
def test_labels_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_names(path)


def test_csv_labels_that_cannot_be_used(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,name\n0,Walking\n1,Walking\n")
    with pytest.raises(ValueError, match="line 3: the name 'Walking' was given before"):
        read_names(path)


# Something that is seen, and then any characters: marks alone, and these, are refused as empty.
BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
TEXT = st.builds(
    str.__add__,
    st.characters(exclude_categories=("C", "Z", "M"), exclude_characters=BLANK_LETTERS),
    st.text(st.characters(exclude_categories=("C", "Z"))),
)


@given(
    st.lists(TEXT, min_size=1, max_size=4, unique=True),
    st.lists(TEXT, min_size=1, max_size=3),
    st.sampled_from(["action", "animal"]),
)
def test_what_is_written_is_read(tmp_path_factory, names, texts, kind):
    path = tmp_path_factory.mktemp("written") / "out.csv"
    write_descriptions(path, kind, dict.fromkeys(names, texts))
    assert read_descriptions(path, names) == [texts] * len(names)
    assert [path.name for path in path.parent.iterdir()] == ["out.csv"]


def test_a_class_with_the_name_of_the_column(tmp_path):
    write_descriptions(tmp_path / "out.csv", "action", {"action": ["It acts."]})
    assert read_descriptions(tmp_path / "out.csv", ["action"]) == [["It acts."]]


def test_a_file_that_would_not_be_read_leaves_the_former(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("former")
    with pytest.raises(ValueError):
        write_descriptions(path, "action", {"Walking": ["It walks."], "Eating": []})
    assert path.read_text() == "former" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kind", ["action", "animal"])
def test_shipped_prompts(kind):
    prompt = read_prompt(None, kind)
    first = prompt.text("Man O'War {count}", 7, [])
    assert f"The {kind} is called \"Man O'War" in first and "Write 7 different" in first
    assert not re.search(r"\{(name|written)\}", first) and "there already" not in first
    again = prompt.text("Fox", 7, ["It is red.", "It has {name}."])
    assert again.startswith(prompt.text("Fox", 7, []))
    assert "\n- It is red.\n- It has {name}.\n" in again


def test_a_prompt_of_ones_own(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text('Give {count} of {name} as {"a": 1}.\n', encoding="utf-8")
    prompt = read_prompt(path, "action")
    assert prompt.text("Fox", 2, ["It is red."]) == 'Give 2 of Fox as {"a": 1}.'
    path.write_text("{name}, {count}\n---\nNot:\n{written}\n", encoding="utf-8")
    assert read_prompt(path, "action").text("Fox", 2, ["a", "b"]) == "Fox, 2\n\nNot:\n- a\n- b"


@pytest.mark.parametrize(
    "content, message",
    [
        ("Describe {name}.", "the prompt has no {count}"),
        ("Write {count}\n---\n{name} {written}", "has no {name} before its line ---"),
        ("{name} {count}\n---\nMore.", "the part after the line --- has no {written}"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_prompts_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "prompt.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=re.escape(message)):
        read_prompt(path, "action")


def test_prompts_are_told_apart():
    assert Prompt("a {name} {count}", "").digest() != Prompt("a {name}", "{count}").digest()


def test_seeds_differ():
    questions = itertools.product((0, 1), ("Walking", "Eating", "1/Walking"), (0, 1, 11))
    seeds = [seed_of(*question) for question in questions]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**31 for seed in seeds)


def question(name: str, round: int = 0) -> Question:
    return Question(name, round, "", 0)


ANSWER = st.builds(Answer, st.text(st.characters()), st.booleans())


@given(
    st.dictionaries(st.tuples(st.integers(0, 9), st.text()), ANSWER, max_size=6),
    st.integers(0, 200),
)
def test_a_journal_that_broke_off(tmp_path_factory, answers, lost):
    """Any prefix of a journal gives the answers whose lines are whole, and can be gone on with."""
    path = tmp_path_factory.mktemp("journal") / "out.csv.journal.jsonl"
    with open_journal(path, SETTINGS) as journal:
        for (round, name), answer in answers.items():
            journal.append(question(name, round), answer)
    assert read_answers(path, SETTINGS) == answers
    content = path.read_bytes()
    kept = content[: max(0, len(content) - lost)]
    path.write_bytes(kept)
    # The settings are the first line.
    whole = max(0, kept.count(b"\n") - 1)
    expected = dict(itertools.islice(answers.items(), whole))
    assert read_answers(path, SETTINGS) == expected
    with open_journal(path, SETTINGS) as journal:
        assert journal.answers == expected
        journal.append(question("new", 10), Answer("text", False))
    assert read_answers(path, SETTINGS) == {**expected, (10, "new"): Answer("text", False)}


@pytest.mark.parametrize(
    "damage",
    [
        '{"class": "Eating", "round": 0, "text": null, "is_cut": false}',
        "[" * 100_000,
        '{"class": "Eating"',
        "[]",
        "null",
        "",
        "\x00\x00",
    ],
)
def test_a_journal_damaged_inside_is_refused(tmp_path, damage):
    path = tmp_path / "journal"
    with open_journal(path, SETTINGS) as journal:
        journal.append(question("Walking"), Answer("text", False))
    first, second = path.read_text().splitlines()
    path.write_text(f"{first}\n{damage}\n{second}\n")
    before = path.read_bytes()
    message = "line 2: not an answer; repair or remove the line"
    with pytest.raises(UserError, match=message):
        read_answers(path, SETTINGS)
    with pytest.raises(UserError, match=message), open_journal(path, SETTINGS):
        pass
    assert path.read_bytes() == before
    path.write_text(f"{damage}\n")
    with pytest.raises(ValueError, match="line 1: not a journal"):
        read_answers(path, SETTINGS)
    path.write_bytes(before)
    with open_journal(path, SETTINGS, restart=True) as journal:
        assert journal.answers == {}


@pytest.fixture
def start(tmp_path, monkeypatch):
    """The command against a server that answers well: (exit status, requests it got)."""
    (tmp_path / "animals.txt").write_text("Fox\nHeron\n", encoding="utf-8")

    def start(*arguments):
        with ChatServer(good_reply) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            given = [argument.format(tmp_path) for argument in arguments]
            flags = {
                "labels": f"{tmp_path}/animals.txt",
                "kind": "animal",
                "model": "writer",
                "output": f"{tmp_path}/out.csv",
                "backend": "openai",
                "num_descriptions": "2",
            } | dict(
                argument.removeprefix("--").split("=", 1) for argument in given if "=" in argument
            )
            plain = [argument for argument in given if "=" not in argument]
            status = write.main([*(f"--{name}={value}" for name, value in flags.items()), *plain])
            return status, server.requests

    return start


def test_animals(tmp_path, start):
    assert start()[0] == 0
    assert (tmp_path / "out.csv").read_text().startswith("animal,description\nFox,")
    expected = [list(itertools.islice(sentences(name), 2)) for name in ("Fox", "Heron")]
    assert read_descriptions(tmp_path / "out.csv", ["Fox", "Heron"]) == expected


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--labels={}/none.txt", "there is no file of labels at {}/none.txt"),
        ("--prompt={}/none.txt", "there is no prompt file at {}/none.txt"),
        ("--output={}/none/out.csv", "{}/none: no such folder; create it first"),
        ("--output={}", "{} is a folder; --output is the file to write"),
        ("--output={}/animals.txt", "{}/animals.txt: already exists; --overwrite replaces it"),
    ],
)
def test_refused_before_anything_is_asked(tmp_path, start, capsys, argument, message):
    assert start(argument) == (2, [])
    assert capsys.readouterr().err == f"error: {message.format(tmp_path)}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["animals.txt"]


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--num_descriptions=0", "--num_descriptions: 0 is not at least 1"),
        ("--extra_rounds=-1", "-1 is not at least 0"),
        ("--concurrency=many", "'many' is not a whole number"),
        ("--temperature=0", "0 is not more than 0"),
        ("--timeout=nan", "nan is not more than 0"),
        ("--request_fields=[]", "not a JSON object: []"),
        ("--request_fields={{", "not JSON"),
        ("--request_fields=" + "[" * 50_000, "not JSON"),
        ("--price_per_million=nan,1", "must be two prices"),
        ("--top_p=2", "2 is more than 1, the most"),
        ("--price_per_million=1", "must be two numbers, such as 0.15,0.6, not 1"),
        ("--kind=plant", "invalid choice: 'plant'"),
    ],
)
def test_flags_that_cannot_be_used(start, capsys, argument, message):
    assert start(argument) == (2, [])
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "backend, package, extra",
    [("openai", "openai", "descriptions"), ("local", "transformers", "torch")],
)
def test_what_is_not_installed_is_named(start, capsys, monkeypatch, backend, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    module = "endpoint" if backend == "openai" else "local"
    monkeypatch.delitem(sys.modules, f"animal_clip_jax.classes.writing.{module}", raising=False)
    status, requests = start(f"--backend={backend}")
    assert (status, requests) == (2, [])
    error = capsys.readouterr().err
    assert f"this needs {package}, which is not installed: pip install" in error
    assert f"'animal-clip-jax[{extra}]'" in error and error.count("\n") == 1


def test_answers_to_other_questions_are_not_used(tmp_path, start, capsys):
    start()
    (tmp_path / "prompt.txt").write_text('The animal is called "{name}". Write {count}.')
    status, requests = start("--overwrite", "--model=other", "--prompt={}/prompt.txt")
    error = capsys.readouterr().err
    assert (status, requests) == (2, [])
    assert "out.csv.journal.jsonl holds answers to other questions: model was 'writer'" in error
    assert "and is 'other'; prompt was '" in error and "seed" not in error
    (tmp_path / "animals.txt").write_text("Fox\n")
    assert start("--overwrite")[0] == 2
    assert "other questions: labels was" in capsys.readouterr().err
    status, requests = start("--overwrite", "--restart")
    assert (status, [request.name for request in requests]) == (0, ["Fox"])


def test_the_journal_makes_the_file_again(tmp_path, start):
    start()
    content = (tmp_path / "out.csv").read_bytes()
    (tmp_path / "out.csv").unlink()
    assert start() == (0, [])
    assert (tmp_path / "out.csv").read_bytes() == content
    lines = journal_path(tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    first, *entries = map(json.loads, lines)
    assert first["settings"]["model"] == "writer"
    assert sorted(entry["class"] for entry in entries) == ["Fox", "Heron"]
