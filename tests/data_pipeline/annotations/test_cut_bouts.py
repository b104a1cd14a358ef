"""Long bouts, cut into pieces."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.annotations.cut_bouts import cut_bouts
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.record import make_annotations, make_clip
from data_pipeline.annotations.splits import Shares


def annotations_of(*bouts, split="train"):
    clips = [
        make_clip(
            path,
            actions=actions.split(),
            animals=animals.split(),
            split=split,
            source=f"line {number}",
            start=start,
            stop=stop,
            individual=individual,
        )
        for number, (path, start, stop, actions, animals, individual) in enumerate(bouts)
    ]
    return make_annotations(clips, roots=[], multi_label=False)


@given(
    start=st.integers(0, 10**6).map(lambda ms: ms / 1000),
    length=st.integers(100, 10**6).map(lambda ms: ms / 1000),
    seconds=st.sampled_from([0.5, 2, 2.5, 30]),
)
def test_pieces_are_a_bout_without_gaps_and_about_as_long_as_asked(start, length, seconds):
    stop = round(start + length, 3)
    cut = cut_bouts(annotations_of(("a.mp4", start, stop, "Run", "Fox", "Kira")), seconds)
    spans = [(clip.start, clip.stop) for clip in cut.clips]
    assert spans[0][0] == start and spans[-1][1] == stop
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    lengths = [b - a for a, b in spans]
    assert max(lengths) - min(lengths) <= 0.0021
    assert max(lengths) <= 1.5 * seconds + 0.001
    if len(spans) > 1:
        assert min(lengths) >= 0.75 * seconds - 0.002
    assert {(clip.actions, clip.performed, clip.individual, clip.split) for clip in cut.clips} == {
        (("Run",), (("Fox", "Run"),), "Kira", "train")
    }
    assert len({clip.clip_id for clip in cut.clips}) == len(spans)


def test_pieces_of_two_bouts_at_one_time_are_one_clip():
    cut = cut_bouts(
        annotations_of(
            ("a.mp4", 0, 4, "Run", "Fox", "Kira"),
            ("a.mp4", 2, 6, "Bark", "Dog", ""),
            ("b.mp4", None, None, "Run", "Fox", ""),
        ),
        2,
    )
    assert [(c.path, c.start, c.stop, c.actions, c.performed) for c in cut.clips] == [
        ("a.mp4", 0, 2, ("Run",), (("Fox", "Run"),)),
        ("a.mp4", 2, 4, ("Run", "Bark"), (("Fox", "Run"), ("Dog", "Bark"))),
        ("a.mp4", 4, 6, ("Bark",), (("Dog", "Bark"),)),
        ("b.mp4", None, None, ("Run",), (("Fox", "Run"),)),
    ]
    assert cut.multi_label
    assert "bouts cut into pieces of about 2 s: 2, now 4 clips in all" in cut.notes
    assert "clips without start and stop, which are not cut: 1" in cut.notes


def test_pieces_of_a_recording_stay_in_one_split(tmp_path):
    rows = [f"{name}.mp4,{8 * k},{8 * k + 8},{'RS'[k]}" for name in "abcdefgh" for k in range(2)]
    path = tmp_path / "clips.csv"
    path.write_text("video,start,stop,actions\n" + "\n".join(rows))
    read = read_annotations("csv", path, cut_bouts=2.0, shares=Shares(test=0.25))
    assert len(read.clips) == 8 * 2 * 4
    splits = {name: {c.split for c in read.clips if c.path == f"{name}.mp4"} for name in "abcdefgh"}
    assert all(len(of_recording) == 1 for of_recording in splits.values())
    assert {"train", "test"} == set.union(*splits.values())
