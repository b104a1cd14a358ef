"""A small instance of every format that this project reads, and how it is read.

Formats of others without a checksum, and texts that people write, may say something else once they
are damaged; for them there is a second, simple reading, which has to agree.
"""

import csv
import hashlib
import io
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import jax
import numpy as np
import openpyxl
import torch
from damage import Format, is_same
from jax.sharding import NamedSharding, PartitionSpec
from made_clips import write_noise
from safetensors.numpy import save_file

from animal_clip_jax.classes.descriptions import read_descriptions
from animal_clip_jax.classes.labels import read_names
from animal_clip_jax.classes.relation_graph import read_relations, read_taxonomy
from animal_clip_jax.conversion import configs, readers
from animal_clip_jax.conversion.weights import WeightsMetadata, load_weights, save_weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_path
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.normalisation import CLIP
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.recognition.linear_probe import LinearProbe
from animal_clip_jax.run import workdir
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.inputs import Input
from animal_clip_jax.run.run_description import RunDescription
from animal_clip_jax.text.encoding import TextFeatures
from animal_clip_jax.text.feature_cache import DamagedEntry, FeatureCache
from animal_clip_jax.training import optimizer
from animal_clip_jax.training.step import create_state
from configs import default
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.record import Annotations
from data_pipeline.clip_index import load_index
from data_pipeline.dataset import load_info
from data_pipeline.decoding import VideoError
from data_pipeline.video import load_video

ACTIONS, ANIMALS = ["Keeping still", "Moving"], ["Fish", "Russell's Viper"]


def _arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "visual.proj": random.standard_normal((6, 4)).astype(np.float32),
        "text.bias": random.standard_normal(5).astype(np.float16),
        "logit_scale": np.array(2.5, np.float32),
    }


# --- checkpoints of others --------------------------------------------------------------------


class _Settings:
    """In a training checkpoint beside its weights."""

    def __init__(self) -> None:
        self.learning_rate = 8e-6


def _training_checkpoint() -> dict[str, Any]:
    model = {key: torch.from_numpy(value) for key, value in _arrays().items()}
    return {"model": model, "config": _Settings(), "epoch": 3}


def _make_torch(folder: Path) -> None:
    torch.save(_training_checkpoint(), folder / "a.pth")


def _make_legacy(folder: Path) -> None:
    content = {"model": _training_checkpoint()["model"], "epoch": 3}
    torch.save(content, folder / "a.pth", _use_new_zipfile_serialization=False)


def _as_torch_reads(folder: Path, content: dict[str, np.ndarray]) -> bool:
    state_dict = torch.load(folder / "a.pth", weights_only=True)["model"]
    return is_same(content, {key: value.numpy() for key, value in state_dict.items()})


class _Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = torch.nn.Linear(3, 2)

    def forward(self, pixels):
        return self.proj(pixels)


def _make_script(folder: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(_Inner(), torch.nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module, torch.ones(1, 3)).save(folder / "a.pt")


def _tensors(name: str) -> Callable[[Path], Any]:
    return lambda folder: readers.read_checkpoint(folder / name).tensors


def _own_safetensors(path: Path) -> dict[str, np.ndarray]:
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header.pop("__metadata__", None)
    dtypes = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I32": np.int32}
    dtypes |= {"I16": np.int16, "U32": np.uint32, "U16": np.uint16, "I64": np.int64}
    return {
        key: np.frombuffer(
            content[begin:][slice(*entry["data_offsets"])], dtypes[entry["dtype"]]
        ).reshape(entry["shape"])
        for key, entry in header.items()
    }


def _make_safetensors(folder: Path) -> None:
    save_file(_arrays(), folder / "a.safetensors")


def _make_folder(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "clip", "projection_dim": 64}')
    files = {"a.safetensors": ["visual.proj"], "b.safetensors": ["text.bias", "logit_scale"]}
    for name, keys in files.items():
        save_file({key: _arrays()[key] for key in keys}, folder / name)
    weight_map = {key: name for name, keys in files.items() for key in keys}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def _read_folder(folder: Path) -> Any:
    found = readers.read_checkpoint(folder)
    return found.tensors, dict(found.config)


def _as_parts_say(folder: Path, content: Any) -> bool:
    tensors, config = content
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    own: dict[str, np.ndarray] = {}
    for name in set(index["weight_map"].values()):
        own |= _own_safetensors(folder / name)
    return is_same(tensors, own) and config == json.loads((folder / "config.json").read_text())


def _make_hub_cache(folder: Path) -> None:
    (folder / "blobs").mkdir()
    (folder / "snapshots" / "main").mkdir(parents=True)
    save_file(_arrays(), folder / "new")
    digest = hashlib.sha256((folder / "new").read_bytes()).hexdigest()
    (folder / "new").rename(folder / "blobs" / digest)
    link = folder / "snapshots" / "main" / "model.safetensors"
    link.symlink_to(f"../../blobs/{digest}")
    link.with_name("config.json").write_text('{"model_type": "clip"}')


def _read_hub_cache(folder: Path) -> Any:
    found = readers.read_checkpoint(folder / "snapshots" / "main")
    return found.tensors, readers.digests(found.files)


_OPEN_CLIP = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 128, "patch_size": 16},
        "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 64, "heads": 4, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.25, 0.0], "std": [0.5, 1.0, 0.25]},
}


def _make_open_clip(folder: Path) -> None:
    (folder / "open_clip_config.json").write_text(json.dumps(_OPEN_CLIP))


def _read_open_clip(folder: Path) -> Any:
    path = folder / "open_clip_config.json"
    content = readers.read_json(path)
    try:
        description = configs.describe_open_clip(content, source=str(path))
    except UserError:
        raise
    except ValueError as error:  # a contradiction, which `convert` says with the file's name
        raise UserError(str(error)) from error
    return description, configs.open_clip_normalisation(content, source=str(path))


def _as_open_clip_says(folder: Path, content: Any) -> bool:
    found, normalisation = content[0].architecture, content[1]
    config = json.loads((folder / "open_clip_config.json").read_text())
    model, pixels = config["model_cfg"], config.get("preprocess_cfg") or {}
    vision, text = model["vision_cfg"], model["text_cfg"]
    return (
        found.embed_dim == model["embed_dim"]
        and found.image_size == vision.get("image_size", 224)
        and found.vision_layers == vision.get("layers", 12)
        and found.vision_width == vision.get("width", 768)
        and found.patch_size == vision.get("patch_size", 16)
        and found.context_length == text.get("context_length", 77)
        and found.vocab_size == text.get("vocab_size", 49408)
        and (found.text_width, found.text_heads) == (text.get("width", 512), text.get("heads", 8))
        and found.text_layers == text.get("layers", 12)
        and np.allclose(normalisation.mean, np.multiply(pixels.get("mean", CLIP.mean), 255.0))
        and np.allclose(normalisation.std, np.multiply(pixels.get("std", CLIP.std), 255.0))
        if pixels.get("mean") or pixels.get("std")
        else normalisation == CLIP
    )


# --- what this project saves ------------------------------------------------------------------


def _metadata() -> WeightsMetadata:
    description = configs.describe_open_clip(_OPEN_CLIP, source="")
    return WeightsMetadata(description, CLIP, {"a.pt": "00"}, ("visual.proj",))


def _make_weights(folder: Path) -> None:
    arrays = {key: value.astype(np.float32) for key, value in _arrays().items()}
    save_weights(folder / "weights", arrays, _metadata())


def _read_weights(folder: Path) -> Any:
    parameters, metadata = load_weights(folder / "weights")
    return dict(sorted(parameters.items())), metadata


def _make_checkpoint(folder: Path) -> None:
    shapes = {
        "visual.blocks.0.mlp.expand.kernel": (4, 8),
        "graph.layers.0.kernel": (4, 2),
        "text.projection": (4, 4),
        "logit_scale": (),
    }
    random = np.random.default_rng(0)
    values = {path: random.standard_normal(shape).astype("f4") for path, shape in shapes.items()}
    groups = optimizer.parameter_groups(values)
    adamw = optimizer.build_optimizer(
        {path: group for path, group in groups.items() if group != optimizer.FROZEN},
        {optimizer.BASE: 1e-3, optimizer.NEW: 1e-2},
        weight_decay=0.1,
    )
    mesh = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1])
    state, _ = create_state(values, groups, adamw, seed=0, mesh=mesh)
    classes = ClassContext(
        action_features=random.standard_normal((2, 4)).astype(np.float32),
        animal_features=random.standard_normal((2, 4)).astype(np.float32),
        relation=np.eye(2, dtype=np.float32),
    )
    description = RunDescription(
        config={"seed": 3, "data": {"mean": [123.675, 116.28]}},
        action_names=tuple(ACTIONS),
        animal_names=tuple(ANIMALS),
        relation_counts=np.array([[3, 0], [1, 2]]),
    )
    checkpoints = RunCheckpoints(folder)
    checkpoints.save(state, classes, description, 1)
    checkpoints.close()


def _read_checkpoint(folder: Path) -> Any:
    mesh = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1])
    checkpoints, step = RunCheckpoints.open(folder)
    try:
        weights, classes = checkpoints.restore_weights(step, NamedSharding(mesh, PartitionSpec()))
        description = checkpoints.describe(step)
    finally:
        checkpoints.close()
    return (
        {key: np.asarray(value) for key, value in sorted(weights.items())},
        tuple(map(np.asarray, classes)),
        description.to_json(),
    )


def _make_probe(folder: Path) -> None:
    probe = LinearProbe(_arrays()["visual.proj"].T[:, :2], np.zeros(2, "f4"), tuple(ANIMALS), "s")
    (folder / "linear_probe.npz").write_bytes(probe.to_bytes())


def _read_probe(folder: Path) -> Any:
    path = folder / "linear_probe.npz"
    return LinearProbe.from_bytes(path.read_bytes(), str(path))


def _cache(folder: Path) -> FeatureCache:
    return FeatureCache(folder, tower="a", tokenizer="b", arithmetic="c")


def _make_cache(folder: Path) -> None:
    _cache(folder).write(ACTIONS, TextFeatures(_arrays()["visual.proj"][:2], 1))


def _make_config(folder: Path) -> None:
    workdir.write_config(as_path(folder), default.get_config())


def _read_config(folder: Path) -> Any:
    config = workdir.read_config(as_path(folder))
    return None if config is None else config.to_dict()


def _as_config_says(folder: Path, content: Any) -> bool:
    def agrees(found: Any, written: Any) -> bool:
        if isinstance(written, dict):
            return all(name in found and agrees(found[name], written[name]) for name in written)
        return list(found) == written if isinstance(found, tuple) else found == written

    return agrees(content, json.loads((folder / "config.json").read_text()))


def _make_record(folder: Path) -> None:
    inputs = {"init_from": Input("weights/b16", "00ff")}
    record = workdir.RunRecord(inputs, "1.0", ({"step": 3, "epochs": 1, "to": 2},))
    workdir.write_record(as_path(folder), record)


def _as_record_says(folder: Path, content: Any) -> bool:
    written = json.loads((folder / workdir.RECORD_FILE).read_text())
    return content.to_json() == {name: written[name] for name in content.to_json()}


def _make_dataset(folder: Path) -> None:
    from data_pipeline.conversion.dataset_writer import Options, convert

    source = folder.with_name("source")
    source.mkdir(exist_ok=True)
    lines = ["video,animals,actions,split"]
    for number in range(4):
        write_noise(source / f"{number}.mp4", num_frames=4, height=32, width=32)
        split = "test" if number == 3 else "train"
        lines.append(f"{number}.mp4,{ANIMALS[number % 2]},{ACTIONS[number // 2]},{split}")
    (source / "clips.csv").write_text("\n".join(lines))
    annotations = read_annotations("csv", source)
    convert("made", annotations, folder / "data", options=Options(short_side=16), workers=1)


def _read_dataset(folder: Path) -> Any:
    indexes = [load_index(folder / "data", split) for split in ("train", "test")]
    return load_info(folder / "data"), indexes


def _read_shards(folder: Path) -> Any:
    from data_pipeline.batches.reading import Source

    source = Source.open(folder / "data", "train")
    return [source.stored_frames(row) for row in range(len(source.index.clip_ids))]


# --- annotations and other texts ----------------------------------------------------------------


def _rows(path: Path, delimiter: str = ",") -> list[list[str]]:
    text = path.read_bytes().decode("utf-8-sig")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]


def _lines(path: Path) -> list[str]:
    text = path.read_bytes().decode("utf-8-sig")
    return [line.strip() for line in text.split("\n") if line.strip()]


def _labels(path: Path) -> list[str]:
    names = {int(row[0]): row[1] for row in _rows(path)[1:]}
    return [names[number] for number in range(len(names))]


Clips = list[tuple[str, tuple[str, ...], tuple[str, ...], str]]


def _clips(found: Annotations) -> Clips:
    return [(clip.path, clip.actions, clip.animals, clip.split) for clip in found.clips]


def _annotations(dataset: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        found = read_annotations(dataset, folder)
        return _clips(found), list(found.action_names), list(found.animal_names)

    return read


def _make_lists(actions: str, animals: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "videos").mkdir()
        (folder / "train.txt").write_text("Keeping still/a 1.mp4 0 1\nMoving/b.mp4 1 0\n")
        (folder / "test.txt").write_text("Moving/c.mp4 1 1\n")
        for name, labels in ((actions, ACTIONS), (animals, ANIMALS)):
            rows = "".join(f"{number},{label}\n" for number, label in enumerate(labels))
            (folder / name).write_text("id,label\n" + rows)

    return make


def _as_lists_say(actions: str, animals: str) -> Callable[[Path, Any], bool]:
    def agrees(folder: Path, content: Any) -> bool:
        action_names, animal_names = _labels(folder / actions), _labels(folder / animals)
        clips = []
        for split in ("train", "test"):
            for line in _lines(folder / f"{split}.txt"):
                path, action, animal = line.rsplit(maxsplit=2)
                labels = ((action_names[int(action)],), (animal_names[int(animal)],))
                clips.append((PurePosixPath(path).as_posix(), *labels, split))
        return is_same(content, (clips, action_names, animal_names))

    return agrees


def _make_kingdom(folder: Path) -> None:
    (folder / "videos").mkdir()
    pairs = "A.mp4\t[('Fish', 'Moving'), (\"Russell's Viper\", 'Keeping still')]\n"
    (folder / "train.txt").write_text(pairs + "B.mp4\t[('Fish', 'Keeping still')]\n")
    (folder / "test.txt").write_text("C.mp4\t[('Fish', 'Moving')]\n")


def _pairs(text: str) -> list[tuple[str, str]]:
    """The form is no Python: quotes in names are not escaped, and some around them are missing."""

    pairs = []
    inner = text[text.index("(") + 1 : text.rindex(")")].replace("\\", "")
    for pair in re.split(r"\)[\s,\[\]'\"]*\(", inner):
        inside = pair.strip().removesuffix(",").rstrip()
        start = inside[:-1].rindex(inside[-1])  # the quotes around the action
        animal = inside[:start].rstrip().removesuffix(",").strip()
        animal = animal[1:].strip() if animal[:1] in ("'", '"') else animal
        animal = animal[:-1].strip() if animal[-1:] in ("'", '"') else animal
        pairs.append((animal, inside[start + 1 : -1].strip()))
    return pairs


def _as_kingdom_says(folder: Path, content: Any) -> bool:
    clips = []
    for split in ("train", "test"):
        for line in _lines(folder / f"{split}.txt"):
            path, _, text = line.partition("\t")
            actions = tuple(dict.fromkeys(action for _, action in _pairs(text)))
            animals = tuple(dict.fromkeys(animal for animal, _ in _pairs(text)))
            clips.append((PurePosixPath(path.strip()).as_posix(), actions, animals, split))
    names = [sorted({name for clip in clips for name in clip[part]}) for part in (1, 2)]
    return is_same(content, (clips, *names))


def _make_workbook(folder: Path) -> None:
    (folder / "videos").mkdir()
    sheets = {
        "AR": [
            ("video_id", "type", "labels", "list_animal_action"),
            ("A", "train", "1", "[('Fish', 'Moving')]"),
            ("B", "test", "0", "[(\"Russell's Viper\", 'Keeping still')]"),
        ],
        "Action": [("Label", "Action"), *enumerate(ACTIONS)],
        "Animal": [("Animal", "Parent Class"), *((name, "y") for name in ANIMALS)],
    }
    book = openpyxl.Workbook()
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(folder / "AR_metadata.xlsx")


def _make_csv(folder: Path) -> None:
    (folder / "clips.csv").write_text(
        "video,animals,actions,split\n"
        'a 1.mp4,"Fish;Russell\'s Viper",Moving,train\n'
        "b.mp4,Fish,Keeping still,test\n"
    )


def _as_csv_says(folder: Path, content: Any) -> bool:
    header, *rows = _rows(folder / "clips.csv")

    def names(cell: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name.strip() for name in cell.split(";") if name.strip()))

    clips = []
    for row in rows:
        cells = dict(zip(header, row, strict=False))
        path = PurePosixPath(cells["video"]).as_posix()
        split = cells.get("split") or "train"
        clips.append((path, names(cells["actions"]), names(cells.get("animals", "")), split))
    labels = [sorted({name for clip in clips for name in clip[part]}) for part in (1, 2)]
    return is_same(content, (clips, *labels))


def _text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content) and None


def _as_descriptions_say(folder: Path, content: Any) -> bool:
    _, *rows = _rows(folder / "a.csv")
    return content == [[row[1] for row in rows if row[0] == name] for name in ACTIONS]


def _as_relations_say(folder: Path, content: Any) -> bool:
    pairs = {tuple(row[:2]) for row in _rows(folder / "a.csv")[1:]}
    own = [[float((animal, action) in pairs) for animal in ANIMALS] for action in ACTIONS]
    return is_same(content, np.array(own, np.float32))


def _as_ids_say(folder: Path, content: Any) -> bool:
    own = np.zeros((len(ACTIONS), len(ANIMALS)), np.float32)
    folded = [name.casefold() for name in ANIMALS]
    for line in _lines(folder / "a.txt"):
        animal, ids, _ = (cell.strip() for cell in line.split("\t"))
        actions = [int(number) for number in ids.strip("[]").replace(",", " ").split()]
        own[actions, folded.index(animal.casefold())] = 1
    return is_same(content, own)


def _as_taxonomy_says(folder: Path, content: Any) -> bool:
    classes = {name.casefold(): of_animal for name, of_animal in _rows(folder / "a.csv")[1:]}
    return content == [classes[name.casefold()] for name in ANIMALS]


FORMATS = (
    Format("torch archive", _make_torch, _tensors("a.pth")),
    Format("torch file before 1.6", _make_legacy, _tensors("a.pth"), as_written=_as_torch_reads),
    Format("TorchScript archive", _make_script, _tensors("a.pt")),
    Format(
        "safetensors",
        _make_safetensors,
        _tensors("a.safetensors"),
        as_written=lambda folder, found: is_same(found, _own_safetensors(folder / "a.safetensors")),
    ),
    Format("Hugging Face folder", _make_folder, _read_folder, as_written=_as_parts_say),
    Format("Hugging Face cache", _make_hub_cache, _read_hub_cache, files=("blobs/*",)),
    Format(
        "OpenCLIP configuration", _make_open_clip, _read_open_clip, as_written=_as_open_clip_says
    ),
    Format("weights folder", _make_weights, _read_weights),
    Format("run checkpoint", _make_checkpoint, _read_checkpoint),
    Format("linear probe", _make_probe, _read_probe),
    Format(
        "kept text features",
        _make_cache,
        lambda folder: _cache(folder).read(ACTIONS),
        refusals=(DamagedEntry,),
    ),
    Format("config.json of a run", _make_config, _read_config, as_written=_as_config_says),
    Format(
        "run.json",
        _make_record,
        lambda folder: workdir.read_record(as_path(folder)),
        as_written=_as_record_says,
    ),
    Format(
        "converted dataset, its lists",
        _make_dataset,
        _read_dataset,
        files=("dataset.json", "clips.csv", "actions.txt", "animals.txt", "relation.csv"),
    ),
    Format("converted dataset, its records", _make_dataset, _read_shards, files=("*train*-of-*",)),
    Format(
        "LoTE-Animal lists",
        _make_lists("label.csv", "animal_label.csv"),
        _annotations("lote_animal"),
        as_written=_as_lists_say("label.csv", "animal_label.csv"),
    ),
    Format(
        "MammalNet lists",
        _make_lists("behavior_to_id.csv", "genus_to_id.csv"),
        _annotations("mammalnet"),
        as_written=_as_lists_say("behavior_to_id.csv", "genus_to_id.csv"),
    ),
    Format(
        "Animal Kingdom lists",
        _make_kingdom,
        _annotations("animal_kingdom"),
        as_written=_as_kingdom_says,
    ),
    Format("Animal Kingdom workbook", _make_workbook, _annotations("animal_kingdom")),
    Format("clips.csv", _make_csv, _annotations("csv"), as_written=_as_csv_says),
    Format(
        "names, one a line",
        _text("a.txt", "\n".join(ACTIONS)),
        lambda folder: read_names(folder / "a.txt"),
        as_written=lambda folder, found: found == _lines(folder / "a.txt"),
    ),
    Format(
        "names by id",
        _text("a.csv", "id,name\n1,Moving\n0,Keeping still\n"),
        lambda folder: read_names(folder / "a.csv"),
        as_written=lambda folder, found: found == _labels(folder / "a.csv"),
    ),
    Format(
        "descriptions",
        _text("a.csv", 'action,text\nMoving,It moves.\nKeeping still,"Still, and quiet."\n'),
        lambda folder: read_descriptions(folder / "a.csv", ACTIONS),
        as_written=_as_descriptions_say,
    ),
    Format(
        "relations by name",
        _text("a.csv", "animal,action\nFish,Moving\nRussell's Viper,Keeping still\n"),
        lambda folder: read_relations(folder / "a.csv", ACTIONS, ANIMALS),
        as_written=_as_relations_say,
    ),
    Format(
        "relations by id",
        _text("a.txt", "Fish\t[0, 1]\t2\nRussell's Viper\t[0]\t1\n"),
        lambda folder: read_relations(folder / "a.txt", ACTIONS, ANIMALS),
        as_written=_as_ids_say,
    ),
    Format(
        "taxonomy",
        _text("a.csv", "animal,class\nFish,Fish\nRussell's Viper,Reptile\n"),
        lambda folder: read_taxonomy(folder / "a.csv", ANIMALS),
        as_written=_as_taxonomy_says,
    ),
    Format(
        "video (the shape of its frames)",
        lambda folder: write_noise(folder / "a.mp4", num_frames=6, height=32, width=48),
        lambda folder: load_video(folder / "a.mp4", num_frames=4, image_size=16).shape,
        refusals=(VideoError, UserError),
    ),
)
