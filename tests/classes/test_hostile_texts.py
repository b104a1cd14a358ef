"""Texts of others that nobody would write: each is refused in one message, which shows no more of
them than a line can hold."""

import os

import numpy as np
import pytest

from animal_clip_jax.classes import file_errors
from animal_clip_jax.classes.descriptions import read_descriptions
from animal_clip_jax.classes.labels import read_names
from animal_clip_jax.classes.relation_graph import read_relations, read_taxonomy
from animal_clip_jax.errors import LONGEST_MESSAGE, UserError

ACTIONS, ANIMALS = ["Keeping still", "Moving"], ["Fish", "Russell's Viper"]
READERS = {
    "descriptions": lambda path: read_descriptions(path, ACTIONS),
    "relations": lambda path: read_relations(path, ACTIONS, ANIMALS),
    "taxonomy": lambda path: read_taxonomy(path, ANIMALS),
    "names": read_names,
}
GOOD = {
    "descriptions": "class,text\nMoving,It moves.\nKeeping still,It is still.\n",
    "relations": "animal,action\nFish,Moving\nRussell's Viper,Keeping still\n",
    "taxonomy": "animal,class\nFish,Fishes\nRussell's Viper,Reptiles\n",
    "names": "id,name\n0,Moving\n1,Keeping still\n",
}


def refused(kind, path) -> str:
    with pytest.raises(UserError) as error:
        READERS[kind](path)
    message = str(error.value)
    assert str(path) in message and len(message) <= LONGEST_MESSAGE
    assert message.replace("\n", "").isprintable()
    return message


@pytest.fixture(params=READERS)
def kind(request):
    return request.param


def test_the_texts_themselves_are_read(kind, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(GOOD[kind])
    found = READERS[kind](path)
    path.write_bytes(b"\xef\xbb\xbf" + GOOD[kind].replace("\n", "\r\n").encode())
    np.testing.assert_array_equal(READERS[kind](path), found)


@pytest.mark.parametrize("place", ["folder", "pipe", "device", "nothing"])
def test_what_is_no_file_is_not_waited_for(kind, place, tmp_path):
    path = tmp_path / "a.csv"
    if place == "folder":
        path.mkdir()
    elif place == "pipe":
        os.mkfifo(path)
    elif place == "device":
        path.symlink_to("/dev/zero")
    refused(kind, path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe" + "a,b\nFish,x\n".encode("utf-16-le"),
        b"a,b\nFi\xffsh,x\n",
        b"a,b\n" + b"x" * 200_000 + b",y\n",
        b"a,b\n" + b"9" * 5000 + b",y\n",
        b'a,b\n"Fish,x\n',
        b'a,b\n"Fish"x,y\n',
        bytes(1000),
        b"a,b\n" + b"x,y\n" * 10_000,
        b"," * 100_000,
    ],
    ids=range(10),
)
def test_what_is_no_table(kind, content, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    refused(kind, path)


@pytest.mark.parametrize("kind", ["descriptions", "relations", "taxonomy"])
@pytest.mark.parametrize("character", ["\0", "\x1b", "\x07", "\x7f", "\x85", "\x9b"])
def test_control_characters(kind, character, tmp_path):
    path = tmp_path / "a.csv"
    lines = GOOD[kind].splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][:-3] + character + lines[1][-3:] + lines[2], newline="")
    assert f"line 2: a control character, U+{ord(character):04X}, in " in refused(kind, path)


@pytest.mark.parametrize("kind", ["descriptions", "relations", "taxonomy"])
def test_more_fields_than_the_header(kind, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(GOOD[kind].replace("Moving", "Moving, fast").replace("Fishes", "Fishes, all"))
    assert "line 2: " in refused(kind, path) and "found 3" in refused(kind, path).replace(
        "3 columns, the header has 2", "found 3"
    )


def test_a_class_with_a_line_break(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('animal,class\nFish,"Fi\nshes"\nRussell\'s Viper,Reptiles\n')
    assert "line 2: the class 'Fi\\nshes' of 'Fish' has a line break" in refused("taxonomy", path)


@pytest.mark.parametrize("kind", sorted(READERS.keys() - {"names"}))  # read with the annotations
def test_a_very_large_file(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(file_errors, "_LARGEST", 20)
    path = tmp_path / "a.csv"
    path.write_text(GOOD[kind])
    assert "larger than 20 bytes" in refused(kind, path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,name\n0,Fish\n", "line 1: 'id,name' is the header of a CSV file"),
        ("Fi\tsh\n", "line 1: the label 'Fi.tsh' has a control character"),
        ("Fish\n\u3164\n", "line 2: the name of the label is empty"),
        ("x" * 1001, "line 1: the label 'x+...x+' is 1001 characters long"),
    ],
)
def test_a_list_of_names_that_would_be_misread(content, message, tmp_path):
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(UserError, match=message):
        read_names(tmp_path / "names.txt")


@pytest.mark.parametrize(("name", "text"), [("a.csv", "animal,action\n"), ("a.txt", "\n")])
def test_relations_of_nobody(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="lists no animal|no row follows the header"):
        read_relations(tmp_path / name, ["Eat"], ["Fish"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\u200b", "line 2: the text of class 'Eat' is empty"),
        ("a\u202eb", "line 2: a control character, U.202E"),
    ],
)
def test_texts_that_show_nothing_or_something_else(text, message, tmp_path):
    (tmp_path / "a.csv").write_text(f"action,description\nEat,{text}\n")
    with pytest.raises(UserError, match=message):
        read_descriptions(tmp_path / "a.csv", ["Eat"])
