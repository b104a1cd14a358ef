"""Videos and folders that cannot be converted."""

import os
import pathlib
import shutil
import subprocess
import sys
import unicodedata

import deadly_videos
import pytest
from made_dataset import examples, read_csv
from made_videos import write_sound, write_video

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.read_options import ReadOptions
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.clip_index import RECORD_FRAMING, load_index
from data_pipeline.conversion.dataset_writer import ConversionError, Options, convert
from data_pipeline.conversion.find_videos import find_videos, is_there
from data_pipeline.convert import main
from data_pipeline.dataset import load_info


def records(directory, split="train"):
    """The bytes of the record of every clip."""
    index = load_index(directory, split)
    rows = zip(index.clip_ids, index.shards, index.offsets, index.lengths, strict=True)
    return {
        clip_id: (directory / shard).read_bytes()[offset : offset + length + RECORD_FRAMING]
        for clip_id, shard, offset, length in rows
    }


class TestFailures:
    @pytest.fixture
    def broken(self, tmp_path):
        """Five annotated clips, of which three are unusable, and a video without annotation."""
        videos = tmp_path / "videos"
        write_video(videos / "good.mp4", 4)
        write_video(videos / "also_good.mp4", 4)
        cut = write_video(videos / "cut.mp4", 40, container_options={"movflags": "faststart"})
        cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
        write_sound(videos / "sound.wav").rename(videos / "sound.mp4")
        write_video(videos / "deep" / "extra.MP4", 2)
        names = ("good", "cut", "sound", "missing", "also_good")
        rows = "".join(f"{name}.mp4,Fox,Running,train\n" for name in names)
        (tmp_path / "clips.csv").write_text("video,animals,actions,split\n" + rows)
        return tmp_path

    def run(self, folder, *arguments):
        return main(
            ["--dataset=csv", f"--source={folder}", f"--output={folder / 'out'}", *arguments]
        )

    def test_missing_ones_are_told_before_anything_is_decoded(self, broken, capsys):
        (broken / "clips.csv").write_text(
            (broken / "clips.csv").read_text() + "moved/extra.MP4,Fox,Running,train\n"
        )
        assert self.run(broken) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith(
            f"error: 2 of 6 clips have no video: there is no {broken}/videos/missing.mp4 "
            f"({broken}/clips.csv, line 5)"
        )
        assert f"Paths count from {broken}/videos" in error and "--max_failures=2" in error
        assert not (broken / "out").exists()
        # Where there is one of that name, it is offered.
        header, *rows = (broken / "clips.csv").read_text().splitlines()
        (broken / "clips.csv").write_text("\n".join([header, rows[-1], rows[0]]))
        assert self.run(broken) == 2
        assert "There is deep/extra.MP4, which no row names." in capsys.readouterr().err

    def test_they_are_listed_and_end_the_run(self, broken, capsys):
        assert self.run(broken, "--workers=2", "--max_failures=1") == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: 3 of 5 clips failed, 1 may")
        assert "--max_failures=3" in error
        reasons = {row["video"]: row["reason"] for row in read_csv(broken / "out/failures.csv")}
        assert reasons.keys() == {"cut.mp4", "sound.mp4", "missing.mp4"}
        assert "breaks off" in reasons["cut.mp4"]
        assert "none of the formats of videos" in reasons["sound.mp4"]
        assert reasons["missing.mp4"] == "there is no such file"
        assert read_csv(broken / "out" / "unannotated_videos.csv") == [{"video": "deep/extra.MP4"}]
        with pytest.raises(ValueError, match="has not finished"):
            load_info(broken / "out")

    def test_they_can_be_accepted(self, broken, capsys):
        assert self.run(broken, "--max_failures=1") == 2
        assert self.run(broken, "--max_failures=3") == 0
        assert "train: 2 clips" in capsys.readouterr().out
        assert load_info(broken / "out").split_sizes == {"train": 2}
        assert len(read_csv(broken / "out" / "failures.csv")) == 3
        found = [example["clip_id"] for example in examples(broken / "out", "train")]
        assert sorted(found) == [b"also_good", b"good"]

    def test_a_complete_dataset_does_not_hide_them(self, broken, capsys):
        assert self.run(broken, "--max_failures=3") == 0
        assert self.run(broken, "--max_failures=2") == 2
        assert "error: 3 of 5 clips failed, 2 may" in capsys.readouterr().err
        write_video(broken / "videos" / "missing.mp4", 3)
        assert self.run(broken, "--max_failures=2") == 0
        assert load_info(broken / "out").split_sizes == {"train": 3}

    def test_a_mended_video_is_tried_again(self, broken):
        assert self.run(broken, "--max_failures=2") == 2
        write_video(broken / "videos" / "missing.mp4", 3)
        assert self.run(broken, "--max_failures=2") == 0
        assert load_info(broken / "out").split_sizes == {"train": 3}

    def test_a_split_without_any_clip_is_an_error(self, broken, capsys):
        (broken / "clips.csv").write_text(
            "video,animals,actions,split\ngood.mp4,F,R,train\nmissing.mp4,F,R,test\n"
        )
        assert self.run(broken, "--max_failures=1") == 2
        assert "not one clip of the split 'test'" in capsys.readouterr().err

    def test_a_video_with_another_suffix_is_found(self, tmp_path):
        write_video(tmp_path / "videos" / "clip.mp4", 3)
        (tmp_path / "clips.csv").write_text("video,animals,actions\nclip.avi,Fox,Running\n")
        assert self.run(tmp_path) == 0
        assert read_csv(tmp_path / "out" / "clips.csv")[0]["video"] == "clip.mp4"

    def test_a_video_that_kills_its_process_is_one_of_them(self, tmp_path):
        names = [f"clip{k}.mp4" for k in range(9)]
        for k, name in enumerate(names):
            write_video(tmp_path / name, 3 + k)
        write_video(tmp_path / "deadly.mp4", 3)
        header = "video,animals,actions,split\n"
        settings = {"options": Options(short_side=24, clips_per_shard=4), "workers": 2}
        for output, videos, kwargs in (
            ("without", names, {}),
            (
                "with",
                [*names[:4], "deadly.mp4", *names[4:]],
                {"encode": deadly_videos.encode, "max_failures": 1},
            ),
        ):
            rows = "".join(f"{name},Fox,Running,train\n" for name in videos)
            (tmp_path / "clips.csv").write_text(header + rows)
            annotations = read_annotations("csv", tmp_path)
            convert("csv", annotations, tmp_path / output, **settings, **kwargs)
        (failure,) = read_csv(tmp_path / "with" / "failures.csv")
        assert failure["video"] == "deadly.mp4"
        assert failure["reason"] == "its decoding killed the process"
        found, expected = (records(tmp_path / output) for output in ("with", "without"))
        assert found.keys() == {f"clip{k}" for k in range(9)}
        assert found == expected

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--workers=0"], "--workers: 0 is not at least 1"),
            (["--short_side=1"], "short_side is 1; the least is 8"),
            (["--short_side=99999"], "--short_side: 99999 is more than 8192, the most"),
            (["--workers=9999"], "--workers: 9999 is more than 1024, the most"),
            (["--max_frames=-1"], "--max_frames: -1 is not at least 0"),
            (["--action_labels=none.csv"], "none.csv"),
            (["--source=gs://bucket/a"], "has to be on this machine, not gs://bucket/a"),
            (["--source=foo://bucket/a"], "URLs of foo:// are not known"),
            (["--output=gs://bucket/a"], "has to be on this machine, not gs://bucket/a"),
        ],
    )
    def test_impossible_arguments_are_one_line(self, broken, capsys, arguments, message):
        assert self.run(broken, *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
        assert error.count("\n") == 1
        assert not (broken / "out").exists()


class TestStrangeFolders:
    def annotations(self, folder):
        (folder / "clips.csv").write_text("video,animals,actions\na.mp4,Fox,Running\n")
        return read_annotations("csv", folder)

    def test_circles_and_ladders_of_links_come_to_an_end(self, tmp_path):
        videos = tmp_path / "videos"
        write_video(videos / "deep" / "a.mp4", 2)
        for name in ("again", "too"):
            (videos / name).symlink_to(".")
        for step in range(30):  # of 2^30 paths, without a circle
            (videos / f"step{step}").mkdir()
            for name in ("left", "right"):
                (videos / f"step{step}" / name).symlink_to(f"../step{step + 1}")
        (videos / "itself.mp4").symlink_to("itself.mp4")
        found, others = find_videos(self.annotations(tmp_path))
        assert found == {"a": videos / "a.mp4"}
        assert others == ["deep/a.mp4", "itself.mp4"]

    def test_folders_on_other_disks_are_found_through_links(self, tmp_path):
        write_video(tmp_path / "disk" / "a.avi", 2, codec="mpeg4", options={"crf": "0"})
        (tmp_path / "videos").mkdir()
        (tmp_path / "videos" / "linked").symlink_to(tmp_path / "disk")
        (tmp_path / "clips.csv").write_text("video,animals,actions\nlinked/a.mp4,Fox,Run\n")
        # Data of others could have links to anything: this one is followed when it is asked for.
        annotations = read_annotations("csv", tmp_path)
        found, others = find_videos(annotations)
        assert not is_there(annotations.roots)(found["linked/a"]) and others == []
        options = ReadOptions(roots=(tmp_path / "disk",))
        annotations = read_annotations("csv", tmp_path, options=options)
        found, others = find_videos(annotations)
        assert found == {"linked/a": tmp_path / "videos" / "linked" / "a.avi"}
        assert is_there(annotations.roots)(found["linked/a"]) and others == []

    @pytest.mark.parametrize("what", ["file", "folder"])
    def test_links_that_lead_out_are_not_opened(self, tmp_path, what, capsys):
        elsewhere = write_video(tmp_path / "elsewhere" / "b.mp4", 2)
        videos = tmp_path / "own" / "videos"
        write_video(videos / "a.mp4", 2)
        write_video(videos / "c.mp4", 2)
        (videos / "inside.mp4").symlink_to("a.mp4")
        if what == "file":
            (videos / "b.mp4").symlink_to(elsewhere)
        else:
            (videos / "sub").symlink_to(elsewhere.parent)
        name = "b.mp4" if what == "file" else "sub/b.mp4"
        (tmp_path / "own" / "clips.csv").write_text(
            f"video,actions\nc.mp4,Run\ninside.mp4,Run\n{name},Run\n"
        )
        arguments = ["--dataset=csv", f"--source={tmp_path}/own", "--workers=1"]
        arguments.append(f"--output={tmp_path}/out")
        assert main(arguments) == 2
        assert f"leads to {elsewhere}; add --root={tmp_path}/elsewhere" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
        assert main([*arguments, "--max_failures=1"]) == 0
        assert load_info(tmp_path / "out").split_sizes == {"train": 2}
        (row,) = read_csv(tmp_path / "out" / "failures.csv")
        assert row["reason"].startswith("a link leads out of the folders of videos")
        shutil.rmtree(tmp_path / "out")
        assert main([*arguments, f"--root={tmp_path}/elsewhere"]) == 0
        assert load_info(tmp_path / "out").split_sizes == {"train": 3}

    def test_what_is_hidden_is_no_video_without_a_clip(self, tmp_path):
        for name in ("a.mp4", "._a.mp4", ".hidden/b.mp4", "c.mp4"):
            write_video(tmp_path / "videos" / name, 2)
        assert find_videos(self.annotations(tmp_path))[1] == ["c.mp4"]

    def test_two_videos_that_differ_in_their_suffix(self, tmp_path):
        (tmp_path / "clips.csv").write_text("video,actions\nq.mov,Running\n")
        write_video(tmp_path / "q.mp4", 2)
        (found,) = find_videos(read_annotations("csv", tmp_path))[0].values()
        assert found == tmp_path / "q.mp4"
        write_video(tmp_path / "q.avi", 3, codec="mpeg4")
        with pytest.raises(AnnotationError, match="line 2: there is no 'q.mov', but q.avi and q.m"):
            find_videos(read_annotations("csv", tmp_path))

    def test_letters_whose_accents_are_kept_apart(self, tmp_path):
        """As some disks do."""
        together, apart = (unicodedata.normalize(form, "Fuß é.mp4") for form in ("NFC", "NFD"))
        (tmp_path / "clips.csv").write_text(f"video,actions\n{together},Running\n")
        write_video(tmp_path / apart, 2)
        (found,) = find_videos(read_annotations("csv", tmp_path))[0].values()
        assert found == tmp_path / apart

    def test_names_that_are_not_utf8(self, tmp_path):
        write_video(tmp_path / "videos" / "a.mp4", 2)
        for name in (b"stray\xff.mp4", b"\xfe"):
            os.link(tmp_path / "videos" / "a.mp4", os.fsencode(tmp_path / "videos") + b"/" + name)
        convert("csv", self.annotations(tmp_path), tmp_path / "out", options=Options(), workers=1)
        assert read_csv(tmp_path / "out" / "unannotated_videos.csv") == [
            {"video": "stray\\xff.mp4"}
        ]

    def test_an_output_whose_name_is_not_utf8(self, tmp_path):
        write_video(tmp_path / "videos" / "a.mp4", 2)
        output = tmp_path / os.fsdecode(b"out\xff")
        with pytest.raises(ConversionError, match=r"out\\xff: the name of the output is not UTF-8"):
            convert("csv", self.annotations(tmp_path), output, options=Options(), workers=1)
        assert not output.exists()


def test_bad_files_are_rows_with_their_reasons(tmp_path):
    videos = tmp_path / "videos"
    write_video(videos / "good.mp4", 3)
    write_video(videos / "thin.mp4", 2, height=3000, width=2)
    (videos / "list.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    os.mkfifo(videos / "pipe.mp4")
    (videos / "folder.mp4").mkdir()
    reasons = {
        "thin.mp4": "would be 64x96000 when scaled",
        "list.mp4": "none of the formats of videos",
        "pipe.mp4": "it is not a file",
        "folder.mp4": "it is not a file",
        f"{'v' * 300}.mp4": "File name too long",
    }
    rows = "".join(f"{name},Fox,Running,train\n" for name in ("good.mp4", *reasons))
    (tmp_path / "clips.csv").write_text("video,animals,actions,split\n" + rows)
    arguments = {"options": Options(short_side=64), "workers": 1, "max_failures": len(reasons)}
    convert("csv", read_annotations("csv", tmp_path), tmp_path / "out", **arguments)
    found = {row["video"]: row["reason"] for row in read_csv(tmp_path / "out" / "failures.csv")}
    assert found.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in found[name]


def test_a_script_without_its_guard_is_told_what_is_missing(tmp_path):
    """Every process that decodes would run the script from its top."""
    write_video(tmp_path / "videos" / "a.mp4", 2)
    (tmp_path / "clips.csv").write_text("video,animals,actions,split\na.mp4,Fox,Running,train\n")
    script = tmp_path / "convert_mine.py"
    flags = ["--dataset=csv", f"--source={tmp_path}", f"--output={tmp_path / 'out'}"]
    script.write_text(f"from data_pipeline.convert import main\nraise SystemExit(main({flags}))\n")
    root = pathlib.Path(__file__).parents[2]
    finished = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 2
    assert 'if __name__ == "__main__":' in finished.stderr.splitlines()[-1]
