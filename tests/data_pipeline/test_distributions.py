"""Every form of every data set, in its own layout, through the command: listed, then converted."""

from collections import Counter
from pathlib import Path

import openpyxl
import pytest
from made_videos import numbered_frame, write_video
from PIL import Image

from data_pipeline.batches.reading import Source
from data_pipeline.clip_index import load_index
from data_pipeline.convert import main
from data_pipeline.dataset import load_info

AR = [
    ("AAACXZTV", "train", "0,1", "[('Crane', 'Attending'), ('Crane', 'Eating')]"),
    ("KDIANBXG", "train", "1,2", "[]"),
    ("ABKBWVMW", "train", "2", r"""['[("Russell\'S Viper", \'Sensing\')]']"""),
    ("AADBUVKA", "test", "0,2", "[('Common Quail', 'Attending')]"),
]
CARE = [
    ("baseline", "Fish", "Trout", "XIQTWPDI", 5),
    ("train_fish", "Fish", "Trout", "XIQTWPDI", 5),
    ("val", "Bird", "Hoopoe", "TYPJSNXN", 0),
    ("test", "Horse", "Horse", "RNVGQXGD", 2),
    ("test", "Primate", "Gibbon", "RXXHRXGD", 7),
]
LABELS = "id,name\n0,Attending\n1,Eating\n2,Sensing\n"
ANIMALS = "id,name\n0,Crane\n1,Quail\n2,Russell's Viper\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_workbook(folder: Path) -> None:
    book = openpyxl.Workbook()
    sheets = {
        "AR": (["S/N", "video_id", "type", "labels", "list_animal_action"], AR),
        "CARe": (
            ["S/N", "train_test", " animal_class", "animal_sub_class", "animal", "video_id"]
            + ["action"],
            [(part, " Class", *rest) for part, *rest in CARE],
        ),
        "Action": (["Label", "Action"], [(0, "Attending"), ("#N/A", "Sensing"), (1, "Eating")]),
        "Animal": (["Animal", "Class"], [("Crane", "Bird"), ("Russell's Viper", "Reptile")]),
    }
    for name, (header, rows) in sheets.items():
        sheet = book.create_sheet(name)
        sheet.append(header)
        for number, row in enumerate(rows, start=1):
            sheet.append([number, *row] if "S/N" in header else row)
    folder.mkdir(parents=True)
    book.save(folder / "AR_metadata.xlsx")


def write_segments(folder: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.create_sheet("AR_count")
    sheet.append(["S/N", "action_category", "action", "index", "segment", "count"])
    for number, segment in enumerate(("head", "tail", "middle")):
        action = ("Attending", "Eating", "Sensing")[number]
        sheet.append([number + 1, "General", action, number, segment, 9])
    book.save(folder / "df_action.xlsx")


def official(folder: Path) -> None:
    base = folder / "Animal_Kingdom" / "action_recognition"
    write_workbook(base / "annotation")
    write_segments(base / "annotation")
    for video_id, *_ in AR:
        write_video(base / "dataset" / "video" / f"{video_id}.mp4", 6)


def frames(folder: Path) -> None:
    base = folder / "action_recognition"
    write_workbook(base / "annotation")
    for video_id, *_ in AR:
        images = base / "dataset" / "image" / video_id
        images.mkdir(parents=True)
        for number in range(6):
            picture = Image.fromarray(numbered_frame(number, 48, 64))
            picture.save(images / f"{video_id}_{number + 1:06}.jpg", quality=95)


def unseen(folder: Path) -> None:
    base = folder / "action_recognition"
    write_workbook(base / "annotation")
    for _, _, _, video_id, _ in CARE:
        write_video(base / "dataset" / "video" / f"{video_id}.mp4", 6)


def release(folder: Path) -> None:
    train = (
        "AAACXZTV.mp4\t[('Crane', 'Attending'), ('Crane', 'Eating')]\n"
        "ABKBWVMW.mp4\t[('Russell's Viper', 'Sensing')]\n"
    )
    write(folder / "train_all.txt", train)
    write(folder / "test_animal.txt", "AADBUVKA.mp4\t[(Quail', 'Attending')]\n")
    write(folder / "label.csv", LABELS)
    write(folder / "animal_label.csv", ANIMALS)
    write(folder / "animal-action-relation.txt", "Crane\t[0, 1]\t2\n")
    for name in ("AAACXZTV", "ABKBWVMW", "AADBUVKA"):
        write_video(folder / "video" / f"{name}.mp4", 6)


def charades(folder: Path) -> None:
    annotation = folder / "action_recognition" / "annotation"
    header = "original_vido_id video_id frame_id path labels\n"
    for split, video_id in (("train", "AAACXZTV"), ("val", "AADBUVKA")):
        rows = "".join(f"{video_id} 1 {k} {video_id}/{k}.jpg 0,1\n" for k in range(6))
        write(annotation / f"{split}.csv", header + rows)
        videos = folder / "action_recognition" / "dataset" / "video"
        write_video(videos / f"{video_id}.mp4", 6)
    write(annotation / "label.csv", LABELS)


def mammalnet(folder: Path, suffix: str, lines: dict[str, str]) -> None:
    composition = folder / "annotation" / "composition"
    for split, text in lines.items():
        write(composition / f"{split}.{suffix}", text)
    write(composition / "behavior_to_id.csv", "\ufeffid,name\n0,drinks water\n1,sleeps\n")
    write(composition / "genus_to_id.csv", "\ufefflabel,name\n0,panthera\n1,vulpes\n")
    for name in ("Di4eEBZjkA4", "wWeOg3z47Ps", "lyngREOwOms"):
        write_video(folder / "trimmed_videos" / f"{name}.mp4", 6)


def mammalnet_text(folder: Path) -> None:
    lines = {"train": "Di4eEBZjkA4.mp4 1 1\nwWeOg3z47Ps.mp4 0 0\n", "test": "lyngREOwOms.mp4 1 0\n"}
    mammalnet(folder, "txt", lines)


def mammalnet_csv(folder: Path) -> None:
    train = "\ufefftrimmed_video/Di4eEBZjkA4.mp4,1,1\ntrimmed_video/wWeOg3z47Ps.mp4,0,0\n"
    mammalnet(folder, "csv", {"train": train, "test": "trimmed_video/lyngREOwOms.mp4,1,0\n"})


def lote(folder: Path) -> None:
    annotation = folder / "annotation"
    write(annotation / "LoTE_train.txt", "Parental/Boar1.avi 0 1\nFeeding/Boar 3.avi 1 1\n\n")
    write(annotation / "LoTE_test.txt", "Feeding/Bear2.avi 1 0\n\n")
    write(annotation / "LoTE_label.csv", "id,label\n0,Parental\n1,Feeding\n")
    write(annotation / "animal_label.csv", "id,label\n0,Bear\n1,Boar\n")
    for name in ("Parental/Boar1", "Feeding/Boar 3", "Feeding/Bear2"):
        write_video(folder / f"{name}.avi", 6, codec="mpeg4")


def labels_of(output: Path) -> dict[str, tuple[set[str], set[str]]]:
    """The actions and animals of each clip."""
    info = load_info(output)
    found = {}
    for split in info.split_sizes:
        index = load_index(output, split)
        for clip_id, actions, animals in zip(
            index.clip_ids, index.actions, index.animals, strict=True
        ):
            names = {info.action_names[k] for k in actions}
            found[clip_id] = names, {info.animal_names[k] for k in animals}
    return found


def check_workbook(output, info):
    assert info.action_names == ("Attending", "Eating", "Sensing")
    assert labels_of(output) == {
        "AAACXZTV": ({"Attending", "Eating"}, {"Crane"}),
        "KDIANBXG": ({"Eating", "Sensing"}, set()),
        "ABKBWVMW": ({"Sensing"}, {"Russell's Viper"}),
        "AADBUVKA": ({"Attending", "Sensing"}, {"Common Quail"}),
    }
    rows = (output / "repairs.csv").read_text().splitlines()[1:]
    kinds = Counter(row.split(",")[1:3][0] + " " + row.split(",")[2] for row in rows)
    assert kinds == {"Action 3": 1, "AR 3": 1, "AR 4": 1, "AR 5": 1}
    # Who does what comes from the pairs, whatever the labels say.
    assert info.relation_counts[info.animal_names.index("Crane")].tolist() == [1, 1, 0]


def check_official(output, info):
    check_workbook(output, info)
    assert info.action_segments == ("head", "tail", "middle")
    assert info.segments_source == "df_action.xlsx"


def check_unseen(output, info):
    assert len(info.action_names) == 8 and not info.multi_label
    assert load_index(output, "test").groups in (("horse", "primate"), ("primate", "horse"))
    assert labels_of(output)["RXXHRXGD"] == ({info.action_names[7]}, {"Gibbon"})


def check_release(output, info):
    assert labels_of(output)["ABKBWVMW"] == ({"Sensing"}, {"Russell's Viper"})
    assert labels_of(output)["AADBUVKA"] == ({"Attending"}, {"Quail"})
    assert "(Quail'" in (output / "repairs.csv").read_text()


def check_charades(output, info):
    assert labels_of(output)["AAACXZTV"] == ({"Attending", "Eating"}, set())


def check_mammalnet(output, info):
    assert labels_of(output) == {
        "Di4eEBZjkA4": ({"sleeps"}, {"vulpes"}),
        "wWeOg3z47Ps": ({"drinks water"}, {"panthera"}),
        "lyngREOwOms": ({"sleeps"}, {"panthera"}),
    }


def check_lote(output, info):
    assert labels_of(output)["Feeding/Boar 3"] == ({"Feeding"}, {"Boar"})


# What makes the source, the data set's name, the clips of each split, and what looks at the result.
FORMS = {
    "official": (official, "animal_kingdom", {"train": 3, "test": 1}, check_official),
    "frames": (frames, "animal_kingdom", {"train": 3, "test": 1}, check_workbook),
    "release": (release, "animal_kingdom", {"train": 2, "test": 1}, check_release),
    "charades": (charades, "animal_kingdom", {"train": 1, "test": 1}, check_charades),
    "unseen": (unseen, "animal_kingdom_unseen", {"train": 1, "val": 1, "test": 2}, check_unseen),
    "mammalnet_text": (mammalnet_text, "mammalnet", {"train": 2, "test": 1}, check_mammalnet),
    "mammalnet_csv": (mammalnet_csv, "mammalnet", {"train": 2, "test": 1}, check_mammalnet),
    "lote": (lote, "lote_animal", {"train": 2, "test": 1}, check_lote),
}


@pytest.mark.parametrize("form", FORMS)
def test_listed_and_converted(tmp_path, capsys, form):
    make, dataset, splits, check = FORMS[form]
    make(tmp_path / "source")
    arguments = [f"--dataset={dataset}", f"--source={tmp_path / 'source'}"]
    assert main([*arguments, "--list"]) == 0
    listed = capsys.readouterr().out
    assert f"{sum(splits.values())} of {sum(splits.values())} clips have theirs" in listed
    output = tmp_path / "out"
    assert main([*arguments, f"--output={output}", "--short_side=48", "--workers=1"]) == 0
    info = load_info(output)
    assert info.split_sizes == splits
    for split in splits:
        source = Source.open(output, split)
        for row in range(len(source.index)):
            found = source.stored_frames(row)
            assert len(found) == 6
    check(output, info)
