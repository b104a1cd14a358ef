"""Class texts: names, templates and description files."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_clip_jax.classes import descriptions

CLASSES = ["Walking", "Eating", "Russell's Viper"]
GOOD = (
    "class,text\n"
    'Walking,"It moves, slowly."\n'
    'Walking,"It says ""hello"""\n'
    "Eating,It eats.\n"
    "Eating,It chews.\n"
    "Russell's Viper,A snake.\n"
    "Russell's Viper,Brown spots.\n"
)
EXPECTED = [
    ["It moves, slowly.", 'It says "hello"'],
    ["It eats.", "It chews."],
    ["A snake.", "Brown spots."],
]


def write(folder, content):
    path = folder / "texts.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.rstrip("\n"),
        GOOD + "\n \n",
        "\n" + GOOD.replace("Eating,It eats.", "\n Eating , It eats. "),
        GOOD.replace("Walking,", "Walking, ").replace("Eating,", " Eating ,"),
    ],
    ids=["plain", "crlf", "bom", "no last newline", "blank last", "blank inside", "spaces"],
)
def test_reads_texts_in_label_order(tmp_path, content):
    assert descriptions.read_descriptions(write(tmp_path, content), CLASSES) == EXPECTED


def test_order_of_the_labels_decides(tmp_path):
    path = write(tmp_path, GOOD)
    assert descriptions.read_descriptions(path, CLASSES[::-1]) == EXPECTED[::-1]
    assert descriptions.read_descriptions(str(path), CLASSES) == EXPECTED


# Something that is seen, and any characters: marks alone, and these, are refused as empty.
BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
TEXT = st.builds(
    str.__add__,
    st.characters(exclude_categories=("C", "Z", "M"), exclude_characters=BLANK_LETTERS),
    st.text(st.characters(exclude_categories=("C",))),
).map(str.strip)


@settings(max_examples=100)
@given(st.data())
def test_reads_back_what_the_csv_module_wrote(tmp_path_factory, data):
    names = data.draw(st.lists(TEXT, min_size=1, max_size=5, unique=True))
    per_class = data.draw(st.integers(1, 4))
    texts = [
        data.draw(st.lists(TEXT, min_size=per_class, max_size=per_class), label=name)
        for name in names
    ]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    # A header of three characters that stripping leaves alone and that no drawn name can equal.
    writer.writerow(["\x00class\x00", "text"])
    for name, class_texts in data.draw(st.permutations(list(zip(names, texts, strict=True)))):
        writer.writerows([name, text] for text in class_texts)
    path = write(tmp_path_factory.mktemp("texts"), buffer.getvalue())
    assert descriptions.read_descriptions(path, names) == texts


def test_text_may_span_lines_and_later_errors_count_them(tmp_path):
    content = 'class,text\nWalking,"one\ntwo"\nEating,It eats.\n'
    path = write(tmp_path, content)
    assert descriptions.read_descriptions(path, ["Walking", "Eating"])[0] == ["one\ntwo"]
    with pytest.raises(ValueError, match="line 4: class 'Eating' is not one of the labels"):
        descriptions.read_descriptions(path, ["Walking"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r" is empty"),
        ("\n\n", r" is empty"),
        ("class,text\n", r": no text for 3 of the 3 classes: 'Walking', 'Eating', "),
        (GOOD.partition("\n")[2], r", line 1: expected a header, found a row of class 'Walking'"),
        (
            GOOD.replace("Eating", "Zzz"),
            r": 2 errors: line 4: class 'Zzz' is not one of the labels; no text for 1 .*'Eating'$",
        ),
        (
            GOOD.replace("Eating", "eating"),
            r": 2 errors: line 4: class 'eating' .* did you mean 'Eating'\?; no text",
        ),
        (GOOD.replace("Eating,It eats.", "Eating"), r", line 4: expected 2 columns .* found 1"),
        (GOOD.replace("It eats.", "a, b"), r", line 4: expected 2 columns .* found 3, .*quotes"),
        (GOOD.replace("It eats.", '" "'), r", line 4: the text of class 'Eating' is empty"),
        (GOOD + "Walking,Again.\n", r"; line 8: class 'Walking' appears again .*line 2\)"),
        (
            GOOD.replace("Eating,It chews.\n", ""),
            r", line 4: class 'Eating' has 1 text.*expected 2 as for 'Walking'",
        ),
        (
            GOOD.replace("Eating,It eats.\nEating,It chews.\n", ""),
            r": no text for 1 of .*'Eating'$",
        ),
        (
            GOOD.replace("It eats.", '"It eats.'),
            r", line 4: the row that begins here is not valid CSV",
        ),
        (GOOD.replace("eats", "\xe9ats").encode("latin-1"), r", line 4: not UTF-8"),
        (GOOD.encode("utf-16"), r", line 1: not UTF-8 but UTF-16"),
    ],
)
def test_errors_name_file_line_and_class(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=message) as caught:
        descriptions.read_descriptions(path, CLASSES)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_all_faults_are_listed_by_line(tmp_path):
    rows = GOOD.encode().splitlines(keepends=True)
    rows[2] = b"Walking, \n"
    rows[3] = b"eating,It eats.\n"
    rows[4] = b"Eating,It \xe9ats.\n"
    rows[5] = b'Russell\'s Viper,"A" snake.\n'
    rows += [b"Walking,Again, and again.\n", b"Walking,Three.\n", b"Hm\xff,a\n"]
    with pytest.raises(ValueError) as caught:
        descriptions.read_descriptions(write(tmp_path, b"".join(rows)), CLASSES)
    beginning, *faults = str(caught.value).split("; ")
    path, first = beginning.split(": 7 errors: ")
    assert path == str(tmp_path / "texts.csv")
    said = [
        ("line 3", "the text of class 'Walking' is empty"),
        ("line 4", "class 'eating' is not one of the labels, did you mean 'Eating'?"),
        ("line 5", "not UTF-8 (invalid continuation byte), save the file as UTF-8"),
        ("line 6", "the row that begins here is not valid CSV"),
        ("line 8", "class 'Walking' appears again"),
        ("line 8", "expected 2 columns (class name, text), found 3"),
        ("line 10", "not UTF-8 (invalid start byte)"),
    ]
    for fault, (line, message) in zip([first, *faults], said, strict=True):
        assert fault.startswith(f"{line}: {message}")


def test_twenty_faults_are_shown(tmp_path):
    content = GOOD + "".join(f"Animal {number},text\n" for number in range(30))
    with pytest.raises(ValueError) as caught:
        descriptions.read_descriptions(write(tmp_path, content), CLASSES)
    first, *others = str(caught.value).split("; ")
    assert ": 30 errors: line 8: class 'Animal 0'" in first
    assert others[-2].startswith("line 27: ") and others[-1] == "and 10 more"


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_the_path(tmp_path_factory, content):
    path = write(tmp_path_factory.mktemp("texts"), content)
    with pytest.raises(ValueError) as caught:
        descriptions.read_descriptions(path, CLASSES)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no description file at .*absent\.csv"):
        descriptions.read_descriptions(tmp_path / "absent.csv", CLASSES)
    with pytest.raises(FileNotFoundError, match="no description file at"):
        descriptions.read_descriptions(tmp_path, CLASSES)


def test_name_texts():
    assert descriptions.name_texts(CLASSES) == [["Walking"], ["Eating"], ["Russell's Viper"]]


@pytest.mark.parametrize("kind", ["action", "animal"])
def test_template_texts_all_hold_the_name_and_differ(kind):
    names = [*CLASSES, "a {brace}"]
    texts = descriptions.template_texts(names, kind)
    assert len(texts) == len(names)
    for name, class_texts in zip(names, texts, strict=True):
        assert len(class_texts) == len(texts[0]) > 1
        assert len(set(class_texts)) == len(class_texts)
        assert all(text.count(name) == 1 for text in class_texts)


def test_templates_of_the_two_kinds_differ():
    (action,) = descriptions.template_texts(["Ruff"], "action")
    (animal,) = descriptions.template_texts(["Ruff"], "animal")
    assert not set(action) & set(animal)


def test_unknown_kind():
    with pytest.raises(ValueError, match="kind must be one of action, animal, got 'plant'"):
        descriptions.template_texts(CLASSES, "plant")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no class names"),
        (["a", " "], "name of class 1 is empty"),
        (["a", "b", "a"], "class name 'a' occurs 2 times"),
    ],
)
def test_unusable_labels(tmp_path, names, message):
    path = write(tmp_path, GOOD)
    for source in (
        descriptions.name_texts,
        lambda names: descriptions.template_texts(names, "animal"),
        lambda names: descriptions.read_descriptions(path, names),
    ):
        with pytest.raises(ValueError, match=message):
            source(names)
