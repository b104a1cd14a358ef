"""Files that were made to crash, to never end or to fill the memory; each is refused in one line.

A pickle is written as its instructions: `c` names a class, `)` `\x81` make an object of it, `}` `(`
… `u` `b` set its attributes, `r` and `j` keep a value and take it again.
"""

import json
import os
import pickle
import socket
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from animal_clip_jax import convert
from animal_clip_jax.conversion import inert_pickle, readers, stored_tensors, torch_archive
from animal_clip_jax.conversion.inert_pickle import PickleError
from animal_clip_jax.conversion.readers import read_checkpoint
from animal_clip_jax.errors import LONGEST_MESSAGE, UserError

OBJECT = b"c__torch__\nModule\n)\x81"
VALUES = np.arange(6, dtype=np.float32)


def text(name: str) -> bytes:
    return b"X" + struct.pack("<I", len(name)) + name.encode()


def keep(number: int) -> bytes:
    return b"r" + struct.pack("<I", number)


def take(number: int) -> bytes:
    return b"j" + struct.pack("<I", number)


def tensor(shape: bytes = b"K\x06\x85", strides: bytes = b"K\x01\x85", size: int = 6) -> bytes:
    """A float32 tensor of the storage "0"; shape and strides are instructions."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    storage += b"J" + struct.pack("<i", size) + b"tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\x00"
        + shape
        + strides
        + b"\x89Nt"
        + b"R"
    )


def write(path, program: bytes, *, script: bool = False, method=zipfile.ZIP_STORED, **more):
    """An archive with this pickle and the storage "0"."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + program + b".")
        archive.writestr("a/data/0", VALUES.tobytes(), method)
        if script:
            archive.writestr("a/constants.pkl", b"\x80\x02).")
        for name, content in more.items():
            archive.writestr(name, content)
    return path


def state_dict(of: bytes) -> bytes:
    return b"}" + text("weight") + of + b"s"


def refused(path, *messages: str) -> str:
    with pytest.raises(UserError) as error:
        read_checkpoint(path)
    message = str(error.value)
    assert "\n" not in message and message.isprintable() and len(message) <= LONGEST_MESSAGE
    for part in (path.name, *messages):
        assert part in message
    return message


def test_the_instructions_of_these_tests_are_read(tmp_path):
    path = write(tmp_path / "a.pth", state_dict(tensor()))
    np.testing.assert_array_equal(read_checkpoint(path).tensors["weight"], VALUES)
    module = OBJECT + b"}" + text("a") + OBJECT + b"}" + text("b") + tensor() + b"sbsb"
    path = write(tmp_path / "b.pt", module, script=True)
    np.testing.assert_array_equal(read_checkpoint(path).tensors["a.b"], VALUES)


# --- what objects hold each other ---------------------------------------------------------------


def nested(depth: int, *, ways: int) -> bytes:
    """Modules in modules, each reached from the one around it in so many ways."""
    program = OBJECT + b"}" + text("weight") + tensor() + b"sb" + keep(0)
    for level in range(depth):
        program += OBJECT + b"}("
        program += b"".join(text(f"m{way}") + take(level) for way in range(ways))
        program += b"ub" + keep(level + 1)
    return program


def test_modules_that_are_reached_in_two_ways_have_two_names(tmp_path):
    path = write(tmp_path / "a.pt", nested(2, ways=2), script=True)
    names = {f"m{first}.m{second}.weight" for first in (0, 1) for second in (0, 1)}
    assert read_checkpoint(path).tensors.keys() == names


@pytest.mark.parametrize("depth, ways", [(60, 2), (20_000, 1)])
def test_modules_in_modules_without_end(tmp_path, depth, ways):
    path = write(tmp_path / "a.pt", nested(depth, ways=ways), script=True)
    refused(path, "modules in modules without end")


def test_modules_in_a_circle(tmp_path):
    program = OBJECT + keep(0) + b"}(" + text("self") + take(0) + text("weight") + tensor() + b"ub"
    path = write(tmp_path / "a.pt", program, script=True)
    assert read_checkpoint(path).tensors.keys() == {"weight"}


@pytest.mark.parametrize(
    "deep",
    [b")" + b"\x85" * 200_000, b"]" * 20_000 + b"a" * 19_999, b"}" + b"(Nd" * 20_000],
    ids=["tuples", "lists", "dictionaries"],
)
@pytest.mark.parametrize("place", ["key", "value", "alone", "function", "id"])
def test_nesting_takes_no_stack(tmp_path, deep, place):
    """As a key, nested tuples end the interpreter where they are hashed: one call a level."""
    around = {
        "key": state_dict(tensor())[:-1] + deep + b"Nu",
        "value": b"(" + text("weight") + tensor() + text("deep") + deep + b"d",
        "alone": deep,
        "function": deep + b")R",
        "id": deep + b"Q",
    }
    program = around[place].replace(b"}X", b"}(X", 1) if place == "key" else around[place]
    path = write(tmp_path / "a.pth", program)
    if place in ("key", "value") and not deep.startswith(b"}"):
        assert read_checkpoint(path).tensors.keys() == {"weight"}
    else:
        with pytest.raises(UserError):
            read_checkpoint(path)


# --- pickles ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [
        b"Nr\xff\xff\xff\x7f" + b"\x82\x01",  # an extension
        b"Pname\n",
        b"\x97",
        b"Nj\x01\x00\x00\x00",
        b"0",
        b"(((",
        b"t",
        b"}NNN(s",
        b"\x8e" + struct.pack("<Q", 2**62) + b"a",
        b"B" + struct.pack("<I", 2**31) + b"a",
        b"\x8a\xff1",
        b"L" + b"9" * 5000 + b"L\n",
        b"I9_9\n" + b"\x97",
        b"X\x02\x00\x00\x00\xff\xfe",
        b"N)R\x81",
        b"cos\nsystem\n}b",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        b"ccollections\nOrderedDict\nK\x01\x85R",
        b"\x80\x02",
    ],
)
def test_programs_that_are_no_data(tmp_path, program):
    refused(write(tmp_path / "a.pth", program), "its data.pkl cannot be read")


def test_a_number_in_the_memo_takes_no_memory():
    """Python's own unpickler makes a table of as many entries, of 16 GiB here."""
    found = inert_pickle.read(b"\x80\x02K\x01r\xff\xff\xff\x7f0j\xff\xff\xff\x7f.", calls={})
    assert found.value == 1 and found.length == 16


def test_what_is_copied_again_and_again():
    pairs = b"](" + b"K\x01K\x02\x86" * 1000 + b"e" + keep(0)
    again = (b"ccollections\nOrderedDict\n" + take(0) + b"\x85R0") * 1000
    with pytest.raises(PickleError, match="copies more than it holds"):
        inert_pickle.read(pairs + again + b".", calls={})


def test_a_very_long_pickle(tmp_path, monkeypatch):
    monkeypatch.setattr(inert_pickle, "LARGEST", 1000)
    program = state_dict(tensor()) + b"N0" * 1000
    refused(write(tmp_path / "a.pth", program), "at most 1,000 are read")


def test_python_reads_what_it_writes():
    """In every protocol, against Python's own unpickler."""
    shared = ["x"]
    value = {
        "a": [1, -2, 2**40, 2**100, 1.5, None, True, "ü", b"\x00", (1, (2,), ()), shared, shared],
        3: {"b": [], None: "long" * 100},
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        written = pickle.dumps(value, protocol)
        if protocol < 3:  # bytes are a call there
            continue
        found = inert_pickle.read(written + b"more", calls={})
        assert found.value == value and found.length == len(written)
        assert found.value["a"][-1] is found.value["a"][-2]


# --- tensors ------------------------------------------------------------------------------------


def numbers(*values: int) -> bytes:
    """A tuple."""
    return (
        b"("
        + b"".join(b"\x8a\x09" + value.to_bytes(9, "little", signed=True) for value in values)
        + b"t"
    )


@pytest.mark.parametrize(
    "shape, strides",
    [
        ((2**62, 2**62, 2**62), (1, 1, 1)),
        ((2**40, 0), (1, 1)),
        ((6,), (2**62,)),
        ((2**32, 2**32), (0, 0)),
        ((1000,), (0,)),
        ((2, 4), (1, 1)),
        ((-1,), (1,)),
        ((6,), (-1,)),
        ((2**64,), (1,)),
        ((1,) * 40, (1,) * 40),
        ((6,), (1, 1)),
    ],
)
def test_shapes_that_are_not_there(tmp_path, shape, strides):
    of = tensor(numbers(*shape), numbers(*strides))
    refused(write(tmp_path / "a.pth", state_dict(of)))


def test_the_stride_of_one_value_may_be_anything(tmp_path):
    of = tensor(numbers(1, 6), numbers(2**62, 1))
    path = write(tmp_path / "a.pth", state_dict(of))
    np.testing.assert_array_equal(read_checkpoint(path).tensors["weight"], VALUES[None])


@pytest.mark.parametrize("size", [5, 7, -1, 2**31 - 1])
def test_storages_of_another_size(tmp_path, size):
    path = write(tmp_path / "a.pth", state_dict(tensor(size=size)))
    refused(path, "weight: a/data/0 has 24 bytes; expected")


def test_tensors_that_share_their_bytes(tmp_path, monkeypatch):
    items = b"".join(text(f"w{number}") + tensor() for number in range(2))
    tied = read_checkpoint(write(tmp_path / "a.pth", b"(" + items + b"d")).tensors
    assert np.shares_memory(tied["w0"], tied["w1"])
    monkeypatch.setattr(stored_tensors, "_MOST_SHARING", 1)
    many = tensor() + keep(0) + b"0(" + b"".join(text(f"{n}") + take(0) for n in range(3000)) + b"d"
    refused(write(tmp_path / "b.pth", many), "its tensors share their bytes: 72,000 bytes")


# --- zips ---------------------------------------------------------------------------------------


def changed(path, before: bytes, after: bytes, *, count: int = 1):
    content = path.read_bytes()
    assert content.count(before) == count
    path.write_bytes(content.replace(before, after))
    return path


def entry_in_table(path, name: str) -> int:
    """Where the entry's row begins in the table at the end of a zip."""
    return path.read_bytes().rindex(name.encode()) - 46


def set_in_table(path, name: str, offset: int, value: bytes):
    content = bytearray(path.read_bytes())
    start = entry_in_table(path, name) + offset
    content[start : start + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.fixture
def archive(tmp_path):
    return write(tmp_path / "a.pth", state_dict(tensor()))


@pytest.mark.parametrize("name", ["a/data.pkl", "a/data/0"])
@pytest.mark.parametrize(
    "offset, value",
    [
        (16, b"\0\0\0\0"),
        (8, b"\1"),
        (10, b"\x63"),
        (10, b"\x08"),
        (10, b"\x0e"),
        (24, b"\1\0"),
        (6, b"\xff"),
    ],
    ids=["checksum", "encrypted", "method 99", "deflated", "lzma", "size", "version"],
)
def test_a_row_of_the_table_that_is_wrong(archive, name, offset, value):
    message = refused(set_in_table(archive, name, offset, value))
    assert name in message or "zip file version 25.5" in message


def test_bytes_that_are_wrong(archive):
    message = refused(changed(archive, VALUES.tobytes(), VALUES[::-1].tobytes()), "a/data/0")
    assert "weight" in message and "Bad CRC" in message
    refused(changed(write(archive, state_dict(tensor())), b"weight", b"wEight"), "a/data.pkl")


def test_every_cut(archive):
    content = archive.read_bytes()
    for length in range(len(content)):
        archive.write_bytes(content[:length])
        with pytest.raises(UserError):
            read_checkpoint(archive)


def test_an_entry_that_is_there_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = write(tmp_path / "a.pth", state_dict(tensor()), **{"a/data/0": VALUES.tobytes()})
    refused(path, "a/data/0", "it is there twice")


def test_a_name_that_is_not_utf_8(archive):
    set_in_table(archive, "a/data/0", 8, b"\0\x08")  # says that names are UTF-8
    refused(set_in_table(archive, "a/data/0", 46, b"\xff\xfe"), "damaged")


def test_names_for_a_terminal(tmp_path):
    name = "\x1b[2J\rweight" + "x" * 10_000
    items = b"}" + text(name) + tensor(size=7) + b"s"
    assert "\\x1b[2J weight" in refused(write(tmp_path / "a.pth", items))
    path = write(tmp_path / "b.pth", state_dict(tensor()), **{"a/\x1b[2J": b"", "../../b": b"c"})
    assert read_checkpoint(path).tensors.keys() == {"weight"}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.pth", "b.pth"]


def test_compressed_tensors(tmp_path):
    path = write(tmp_path / "a.pth", state_dict(tensor()), method=zipfile.ZIP_DEFLATED)
    refused(path, "a/data/0", "compressed")


def test_entries_that_overlap(tmp_path):
    """Rows of the table that all say that they hold the same large entry."""
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/large", bytes(100_000))
        twin = zipfile.ZipInfo("a/large")
        for field in ("CRC", "compress_size", "file_size", "header_offset"):
            setattr(twin, field, getattr(archive.getinfo("a/large"), field))
        twin.filename = "a/large"
        archive.filelist.append(twin)
    refused(path, "there twice")
    content = path.read_bytes()
    # As another entry, whose own row before its bytes has the same name: there is none such.
    last = content.rindex(b"a/large")
    path.write_bytes(content[:last] + b"a/LARGE" + content[last + 7 :])
    refused(path, "damaged")


def test_a_table_of_many_entries(tmp_path, archive, monkeypatch):
    monkeypatch.setattr(torch_archive, "_MOST_ENTRIES", 1)
    refused(archive, "2 entries; at most 1 are read")
    monkeypatch.setattr(torch_archive, "_LARGEST_TABLE", 50)
    refused(archive, "a table of entries of")


# --- safetensors, JSON, indexes -----------------------------------------------------------------


def safetensors(path, header, data: bytes = b"") -> None:
    written = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(written)) + written + data)


@pytest.mark.parametrize(
    "header, data",
    [
        ({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, b"0000"),
        ({"a": {"dtype": "F32", "shape": [2**64], "data_offsets": [0, 4]}}, b"0000"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"0000"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"0000"),
        ({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, b"0000"),
        ({"a": {"dtype": "F4", "shape": [8], "data_offsets": [0, 4]}}, b"0000"),
        (b'{"a":' * 20_000, b""),
        (b'{"a": ' + b"9" * 5000 + b"}", b""),
        (b"\xff\xfe", b""),
        ([], b""),
        ({}, b""),
    ],
)
def test_safetensors_that_are_wrong(tmp_path, header, data):
    safetensors(tmp_path / "a.safetensors", header, data)
    refused(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "content",
    [
        b"9" * 5000,
        b"[" * 100_000,
        b'{"a": ' * 100_000,
        b"\xff\xfe{}",
        b"[]",
        b"",
        b"\0" * 100,
        b"nan",
    ],
)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json"])
def test_json_that_is_wrong(tmp_path, content, name):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "b.safetensors"}}')
    save_file({"a": VALUES}, tmp_path / "b.safetensors")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        read_checkpoint(tmp_path)


def test_json_that_is_very_large(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "_LARGEST_JSON", 100)
    (tmp_path / "a.json").write_text(json.dumps({"a": "b" * 100}))
    with pytest.raises(UserError, match=r"a\.json is larger than 100 bytes"):
        readers.read_json(tmp_path / "a.json")


def write_index(folder, weight_map) -> None:
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_an_index_follows_no_link_out_of_its_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    save_file({"a": VALUES}, tmp_path / "secret.safetensors")
    (folder / "b.safetensors").symlink_to(tmp_path / "secret.safetensors")
    write_index(folder, {"a": "b.safetensors"})
    with pytest.raises(UserError, match=r"b\.safetensors is a link to .*secret"):
        read_checkpoint(folder)


def test_the_links_of_hugging_faces_cache_are_followed_and_its_digests_compared(tmp_path):
    import hashlib

    folder, blobs = (
        tmp_path / "models--a--b" / "snapshots" / "0123",
        tmp_path / "models--a--b/blobs",
    )
    folder.mkdir(parents=True)
    blobs.mkdir()
    save_file({"a": VALUES}, tmp_path / "new")
    blob = blobs / hashlib.sha256((tmp_path / "new").read_bytes()).hexdigest()
    (tmp_path / "new").rename(blob)
    (folder / "b.safetensors").symlink_to(f"../../blobs/{blob.name}")
    write_index(folder, {"a": "b.safetensors"})
    found = read_checkpoint(folder)
    np.testing.assert_array_equal(found.tensors["a"], VALUES)
    assert readers.digests(found.files) == {"b.safetensors": blob.name}
    changed(blob, VALUES.tobytes(), VALUES[::-1].tobytes())
    with pytest.raises(UserError, match=rf"b\.safetensors: the file is damaged .*{blob.name}"):
        readers.digests(read_checkpoint(folder).files)


def test_files_that_are_not_those_of_the_index(tmp_path):
    save_file({"a": VALUES}, tmp_path / "one.safetensors")
    save_file({"b": VALUES}, tmp_path / "two.safetensors")
    write_index(tmp_path, {"a": "two.safetensors", "b": "one.safetensors"})
    with pytest.raises(UserError, match=r"one\.safetensors: not the tensors that model"):
        read_checkpoint(tmp_path)


# --- what is no file ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder", "link in a circle"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind, capsys):
    source = tmp_path / "a.pth"
    if kind == "pipe":
        os.mkfifo(source)
    elif kind == "device":
        source.symlink_to("/dev/zero")
    elif kind == "folder":
        source.mkdir()
    elif kind == "link in a circle":
        source.symlink_to(source)
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "socket":
            server.bind(str(source))
        assert convert.main([f"--source={source}", f"--output={tmp_path / 'new'}"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {source}")


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin", "a.safetensors", "a.json", "a.txt"])
@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\3\4", b"\x80", b"\x80\x02", b"9" * 5000, bytes(1000)]
)
def test_files_of_nothing(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name)
