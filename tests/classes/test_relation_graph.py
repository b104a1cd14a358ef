"""Where the relation graph comes from, and what animals inherit from their class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax.classes.relation_graph import (
    inherit,
    read_relations,
    read_taxonomy,
    relation_of,
)
from animal_clip_jax.errors import UserError
from animal_clip_jax.run.config import check_fields
from animal_clip_jax.run.start import as_published
from configs import default
from data_pipeline.clip_index import load_index
from data_pipeline.dataset import load_info

ANIMALS = ["Zebra", "Russell's Viper", "Grass Snake", "Crane"]
TAXONOMY = "animal,class\nCrane,Bird\nzebra,Mammal\nRussell's Viper, Reptile\nGrass Snake,Reptile\n"


def write(folder, content):
    path = folder / "taxonomy.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [TAXONOMY, b"\xef\xbb\xbf" + TAXONOMY.replace("\n", "\r\n\r\n").encode()],
    ids=["plain", "windows"],
)
def test_classes_in_label_order(tmp_path, content):
    expected = ["Mammal", "Reptile", "Reptile", "Bird"]
    assert read_taxonomy(write(tmp_path, content), ANIMALS) == expected


def test_a_label_of_the_same_letters_comes_before_one_in_another_case(tmp_path):
    path = write(tmp_path, "animal,class\nruff,Bird\nRuff,Fish\n")
    assert read_taxonomy(path, ["Ruff", "ruff"]) == ["Fish", "Bird"]


def test_a_class_may_be_empty(tmp_path):
    path = write(tmp_path, TAXONOMY.replace("Bird", ""))
    assert read_taxonomy(path, ANIMALS) == ["Mammal", "Reptile", "Reptile", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": no row for 4 of the 4 animals: 'Zebra', \"Russell's Viper\", 'Grass Snake', "),
        (TAXONOMY.replace("Crane,Bird\n", ""), ": no row for 1 of the 4 animals: 'Crane'"),
        (TAXONOMY + "Fox,Mammal\n", ", line 6: the animal 'Fox' is not one of the labels"),
        (TAXONOMY + "ZEBRA,Bird\n", ", line 6: the animal 'Zebra' stands on line 3 already"),
        (TAXONOMY.replace("Bird", "Bird,1"), r", line 2: expected 2 columns .* found 3"),
        (TAXONOMY.partition("\n")[2], ", line 1: expected the header `animal,class`"),
        (TAXONOMY.replace("Bird", "B\xefrd").encode("latin-1"), ", line 2: not UTF-8"),
        (TAXONOMY.encode("utf-16"), ", line 1: not UTF-8 but UTF-16"),
    ],
)
def test_a_fault_names_its_line(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=message) as caught:
        read_taxonomy(path, ANIMALS)
    assert str(caught.value).startswith(str(path))


def test_all_faults_are_listed(tmp_path):
    path = write(tmp_path, "animal,class\nFox,Mammal\nZebra\nCrane,Bird\nCrane,\n")
    with pytest.raises(ValueError) as caught:
        read_taxonomy(path, ANIMALS)
    lines = [fault.partition(": ")[0] for fault in str(caught.value).split("; ")]
    assert ": 4 errors: line 2: " in str(caught.value)
    assert lines[1:3] == ["line 3", "line 5"]
    assert lines[3].startswith("no row for 2 of the 4 animals")


def relation_on(data, **arguments):
    return relation_of(load_info(data), load_index(data, "train"), **arguments)


def test_files_that_are_not_there(tmp_path, data):
    for name in ("absent.txt", "absent.csv"):
        with pytest.raises(FileNotFoundError, match=rf"config\.relation\.file: .*{name}"):
            relation_on(data, file=str(tmp_path / name))
    with pytest.raises(FileNotFoundError, match=r"config\.relation\.taxonomy: .*absent\.csv"):
        relation_on(data, taxonomy=str(tmp_path / "absent.csv"), min_clips=1)


@given(st.data())
def test_inheriting(data):
    num_actions, num_animals = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    bits = st.lists(st.integers(0, 1), min_size=num_animals, max_size=num_animals)
    relation = np.array([data.draw(bits) for _ in range(num_actions)], np.float32)
    classes = [data.draw(st.sampled_from(["a", "b", "c", ""])) for _ in range(num_animals)]
    clips = np.array([data.draw(st.integers(0, 5)) for _ in range(num_animals)])
    min_clips = data.draw(st.integers(0, 6))
    found = inherit(relation, classes, clips, min_clips)
    heirs = dict.fromkeys(classes, 0)
    for animal, name in enumerate(classes):
        is_heir = clips[animal] < min_clips and name != ""
        heirs[name] += is_heir
        for action in range(num_actions):
            performs = relation[action, animal] == 1
            if is_heir:
                performs = any(
                    relation[action, other] == 1
                    for other in range(num_animals)
                    if classes[other] == name
                )
            assert found.relation[action, animal] == performs
    assert found.heirs == {name: count for name, count in heirs.items() if count}


def test_from_the_training_split(data):
    info, index = load_info(data), load_index(data, "train")
    relation, said = relation_of(info, index)
    pairs = {
        (action, animal)
        for actions, animals in zip(index.actions, index.animals, strict=True)
        for action in actions
        for animal in animals
    }
    assert relation.shape == (len(info.action_names), len(info.animal_names))
    assert set(zip(*map(list, relation.nonzero()), strict=True)) == pairs
    assert said == f"relation graph: {len(pairs)} edges, from the training split"


def test_from_a_file(data, tmp_path):
    info = load_info(data)
    path = tmp_path / "relation.txt"
    path.write_text(f"{info.animal_names[1]}\t[3, 0]\t2\n{info.animal_names[0]}\t[1]\t1\n")
    relation, said = relation_on(data, file=str(path))
    assert set(zip(*map(list, relation.nonzero()), strict=True)) == {(3, 1), (0, 1), (1, 0)}
    assert said == f"relation graph: 3 edges, from {path}"
    path.write_text(f"{info.animal_names[1]}\t[3, 0]\t2\nUnicorn\t[1]\t1\n")
    with pytest.raises(ValueError, match="relation.txt, line 2: the animal 'Unicorn'"):
        relation_on(data, file=str(path))


def test_animals_without_clips_inherit(data, tmp_path):
    """The zebra is never shown in training. It and the first animal are of one class."""
    info = load_info(data)
    zebra = info.animal_names.index("Zebra")
    classes = ["Other"] * len(info.animal_names)
    classes[zebra] = classes[0] = "Hoofed"
    lines = [f"{name},{kind}" for name, kind in zip(info.animal_names, classes, strict=True)]
    path = write(tmp_path, "\n".join(["animal,class", *lines]))
    before, _ = relation_on(data)
    after, said = relation_on(data, taxonomy=str(path), min_clips=1)
    assert before[:, zebra].sum() == 0 < before[:, 0].sum()
    np.testing.assert_array_equal(after[:, zebra], before[:, 0])
    others = np.arange(len(classes)) != zebra
    np.testing.assert_array_equal(after[:, others], before[:, others])
    first, second = int(before.sum()), int(after.sum())
    assert said == (
        f"relation graph: {first} edges, from the training split; {second} after 1 animals with "
        "fewer than 1 training clips inherited the actions of their class (1 of Hoofed)"
    )


def test_animals_without_a_class_are_named_and_inherit_nothing(data, tmp_path):
    """Training never shows the zebra; the other animal of no class gives it nothing."""
    info = load_info(data)
    classes = {name: "Other" for name in info.animal_names} | {"Zebra": ""}
    classes[info.animal_names[0]] = ""
    lines = [f"{name},{kind}" for name, kind in classes.items()]
    path = write(tmp_path, "\n".join(["animal,class", *lines]))
    before, _ = relation_on(data)
    after, said = relation_on(data, taxonomy=str(path), min_clips=1)
    np.testing.assert_array_equal(after, before)
    assert said.endswith(f"; without a class: {info.animal_names[0]}, Zebra")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_clips": 5}, "min_clips is 5 and config.relation.taxonomy ''; .* only with both"),
        ({"taxonomy": "a.csv"}, "min_clips is 0 and config.relation.taxonomy 'a.csv'"),
        (
            {"taxonomy": "a.csv", "min_clips": -1},
            "min_clips is -1; expected a whole number of at least 0",
        ),
    ],
)
def test_fields_that_do_not_fit_each_other(fields, message):
    config = as_published(default.get_config())
    config.relation.update(fields)
    with pytest.raises(ValueError, match=message):
        check_fields(config)


ACTIONS = ["Flying", "Walking"]


def write_pairs(folder, content):
    path = folder / "relation.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("allow_ids", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        "animal,action\nCrane,Flying\nZebra,Walking\nCrane,Walking\n",
        "animal,action,clips\nZebra,Walking,3\nCrane,Walking,1\n\nCrane,Flying,2\n",
        b"\xef\xbb\xbfanimal,action\r\nCrane,Flying\r\nCrane, Walking\r\nZebra,Walking\r\n",
    ],
    ids=["pairs", "more columns", "windows"],
)
def test_relations_by_name(tmp_path, content, allow_ids):
    path = write_pairs(tmp_path, content)
    found = read_relations(path, ACTIONS, ANIMALS, allow_ids=allow_ids)
    np.testing.assert_array_equal(found, [[0, 0, 0, 1], [1, 0, 0, 1]])
    assert found.dtype == np.float32
    # In another order of the labels, every pair goes with its names.
    reversed_ = read_relations(path, ACTIONS[::-1], ANIMALS[::-1], allow_ids=allow_ids)
    np.testing.assert_array_equal(reversed_, found[::-1, ::-1])


def test_the_relations_of_a_converted_data_set_come_back(data):
    info = load_info(data)
    found = read_relations(data / "relation.csv", info.action_names, info.animal_names)
    np.testing.assert_array_equal(found.T, info.relation_counts > 0)
    assert found.sum() > 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ", line 1: expected the header `animal,action`"),
        ("Crane,Flying\n", ", line 1: expected the header `animal,action`"),
        ("animal,action\nOwl,Flying\n", ", line 2: the animal 'Owl' is not one of the labels"),
        ("animal,action\n\nCrane,Swimming\n", ", line 3: the action 'Swimming' is not one of"),
        ("animal,action\nCrane\n", ", line 2: expected an animal and an action, found"),
        ("animal,action\nCrane,Fl\xffying\n".encode("latin-1"), ", line 2: not UTF-8"),
    ],
)
def test_a_fault_in_relations_names_file_and_line(tmp_path, content, message):
    path = write_pairs(tmp_path, content)
    with pytest.raises(ValueError, match=message) as caught:
        read_relations(path, ACTIONS, ANIMALS, allow_ids=False)
    assert str(caught.value).startswith(str(path))


def test_unknown_names_are_all_listed(tmp_path):
    path = write_pairs(tmp_path, "animal,action\nOwl,Swimming\nCrane,Flying\nCrane,Diving\n")
    with pytest.raises(ValueError) as caught:
        read_relations(path, ACTIONS, ANIMALS)
    assert ": 3 errors: line 2: the animal 'Owl'" in str(caught.value)
    assert "line 2: the action 'Swimming'" in str(caught.value)
    assert "line 4: the action 'Diving'" in str(caught.value)


def test_ids_mean_something_for_the_labels_of_the_data_alone(tmp_path):
    path = tmp_path / "relation.txt"
    path.write_text("Crane\t[0, 1]\t2\nZebra\t[1]\t1\n")
    found = read_relations(path, ACTIONS, ANIMALS)
    np.testing.assert_array_equal(found, [[0, 0, 0, 1], [1, 0, 0, 1]])
    with pytest.raises(
        UserError, match=f"{path} gives actions by id, .* `animal,action` and names"
    ):
        read_relations(path, ACTIONS, ANIMALS, allow_ids=False)


def test_a_file_of_names_for_training(data, tmp_path):
    info = load_info(data)
    animal, action = info.animal_names[1], info.action_names[3]
    path = write_pairs(tmp_path, f"animal,action\n{animal},{action}\n")
    relation, said = relation_on(data, file=str(path))
    assert set(zip(*map(list, relation.nonzero()), strict=True)) == {(3, 1)}
    assert said == f"relation graph: 1 edges, from {path}"
