"""`animal-clip convert-videos --list`: what is there and what is missing, without a conversion."""

import pytest

from data_pipeline import convert

ANNOTATION = {
    "LoTE_train.txt": "Feeding/a.avi 1 0\nFeeding/b.avi 1 1\n",
    "LoTE_test.txt": "Parental/c.avi 0 0\n",
    "LoTE_label.csv": "id,label\n0,Parental\n1,Feeding\n2,Resting\n",
    "animal_label.csv": "id,label\n0,Ursus\n1,Sus\n",
}


@pytest.fixture
def source(tmp_path):
    for name, text in ANNOTATION.items():
        path = tmp_path / "annotation" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for name in ("Feeding/a.mp4", "Feeding/b.avi", "Parental/c.avi", "Parental/more.avi"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def listed(capsys, source, *flags, dataset="lote_animal") -> tuple[int, str, str]:
    code = convert.main([f"--dataset={dataset}", f"--source={source}", "--list", *flags])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_all_is_there(source, capsys):
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    code, text, errors = listed(capsys, source)
    assert (code, errors) == (0, "")
    for name in ("LoTE_train.txt", "LoTE_test.txt", "LoTE_label.csv", "animal_label.csv"):
        assert f"  {source / 'annotation' / name}\n" in text
    assert "none (LoTE_val.txt or val.txt or val_list.txt)" in text
    assert "3: train 2, test 1" in text
    assert "3 actions, one a clip; 2 animals" in text
    assert "1 actions without a clip: Resting" in text
    assert f"videos in {source / 'videos'}\n  3 of 3 clips have theirs" in text
    assert "1 videos belong to no clip: Parental/more.avi" in text
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before


def test_missing_videos(source, capsys):
    missing = [source / "videos" / "Feeding" / name for name in ("a.mp4", "b.avi")]
    for path in missing:
        path.unlink()
    code, text, errors = listed(capsys, source)
    assert code == 2
    assert "1 of 3 clips have theirs\n  2 videos are missing:" in text
    assert f"    {source}/videos/Feeding/b.avi\n" in text
    assert "cannot be converted yet: 2 of 3 clips have no video" in errors
    assert errors.count("\n") == 1
    assert listed(capsys, source, "--max_failures=2")[0] == 0


def test_missing_annotations(source, capsys):
    (source / "annotation" / "LoTE_label.csv").unlink()
    (source / "annotation" / "LoTE_test.txt").unlink()
    code, text, errors = listed(capsys, source)
    assert code == 2
    assert "names of the actions  MISSING (LoTE_label.csv or label.csv)" in text
    assert f"looked for in\n  {source / 'annotation'}\n  {source}" in text
    assert "none of LoTE_test.txt, test.txt, test_list.txt is in" in errors
    code, text, errors = listed(capsys, source / "nothing")
    assert (code, text) == (2, "")
    assert f"the source {source / 'nothing'} does not exist" in errors


def test_repairs_are_counted(tmp_path, capsys):
    (tmp_path / "train_all.txt").write_text("A.mp4\t[(Man O'War', 'Moving'), ('Fish', 'Eating')]\n")
    (tmp_path / "test_animal.txt").write_text("B.mp4\t[('Fish', 'Eating')]\n")
    code, text, errors = listed(capsys, tmp_path, dataset="animal_kingdom")
    assert code == 2
    assert "1 x a quote is missing" in text
    assert "0 of 2 clips have theirs" in text
    assert f"the first is {tmp_path}/videos/A.mp4" in errors


def test_a_csv_is_listed_too(tmp_path, capsys):
    clips = tmp_path / "clips.csv"
    clips.write_text("video,animals,actions\na.mp4,Fox,Running\nb.mp4,,Resting\n")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    code, text, _ = listed(capsys, clips, dataset="csv")
    assert code == 0
    assert "2 of 2 clips have theirs" in text
    assert "1 without an animal" in text


def test_output_is_needed_for_a_conversion(source, capsys):
    code = convert.main(["--dataset=lote_animal", f"--source={source}"])
    assert code == 2
    assert "missing: --output" in capsys.readouterr().err


def test_many_annotations_without_videos(tmp_path, capsys):
    """Reading is in proportion to the rows; the whole data set has ten times as many."""
    lines = [f"V{k:05}.mp4\t[('Animal {k % 900}', 'Action {k % 140}')]\n" for k in range(3000)]
    (tmp_path / "train_all.txt").write_text("".join(lines[:2500]))
    (tmp_path / "test_animal.txt").write_text("".join(lines[2500:]))
    code, text, errors = listed(capsys, tmp_path, dataset="animal_kingdom")
    assert code == 2
    assert "3000: train 2500, test 500" in text
    assert "3000 videos are missing" in text
    assert "and 2995 more" in text
    assert len(text) < 4000
    assert "3000 of 3000 clips have no video" in errors
