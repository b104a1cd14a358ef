"""`animal-clip convert-videos --shard`: what comes out is what one process writes."""

import pytest
from made_dataset import OPTIONS, assert_same_folders, convert_lote

from animal_clip_jax.errors import UserError
from animal_clip_jax.locks import only_writer
from animal_clip_jax.shares import Share, only_writer_of_share
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.conversion.dataset_writer import ConversionError, Options
from data_pipeline.conversion.shards import plan_shards
from data_pipeline.convert import main


def test_shares_are_one_conversion(source, dataset, tmp_path, capsys):
    """Each writes every second shard, and the last one all that is beside them."""
    output = tmp_path / "lote"
    annotations = read_annotations("lote_animal", source)
    names = [
        shard.file_name
        for shard in plan_shards("lote_animal", annotations, OPTIONS.clips_per_shard)
    ]
    assert len(names) > 3
    assert convert_lote(source, output, share=Share(1, 2)) is None
    assert sorted(path.name for path in output.glob("*.tfrecord-*")) == sorted(names[1::2])
    assert f"{len(names[::2])} are left" in capsys.readouterr().out
    # What a kill leaves.
    (output / names[1]).unlink()
    (output / f"{names[3]}.123.incomplete").write_text("half")
    assert convert_lote(source, output, share=Share(1, 2)) is None
    assert f"1 of {len(names)} shards written now" in capsys.readouterr().out
    splits = convert_lote(source, output, share=Share(0, 2))
    assert splits is not None and sum(splits.values()) > 0
    assert_same_folders(output, dataset)
    assert convert_lote(source, output, share=Share(0, 2)) == splits
    assert "is complete already" in capsys.readouterr().out
    # A shard that is lost is written again by the share that it belongs to.
    (output / names[0]).unlink()
    assert convert_lote(source, output, share=Share(1, 2)) is None
    assert convert_lote(source, output, share=Share(0, 2)) == splits
    assert_same_folders(output, dataset)


def test_one_process_completes_what_shares_have_begun(source, dataset, tmp_path):
    output = tmp_path / "lote"
    convert_lote(source, output, share=Share(2, 3))
    assert convert_lote(source, output) is not None
    assert_same_folders(output, dataset)


def test_what_is_refused(source, tmp_path, capsys):
    output = tmp_path / "lote"
    convert_lote(source, output, share=Share(0, 9))
    other = Options(OPTIONS.short_side, OPTIONS.max_frames, OPTIONS.clips_per_shard + 1)
    with pytest.raises(ConversionError, match="holds another conversion: its clips_per_shard"):
        convert_lote(source, output, share=Share(1, 9), options=other)
    with only_writer_of_share(output, Share(1, 9)):
        for share in (Share(1, 9), None):
            with pytest.raises(UserError, match="is being written by this very process"):
                convert_lote(source, output, share=share)
    with only_writer(output):
        pass  # it was let go
    arguments = ["--dataset=lote_animal", f"--source={source}", f"--output={output}"]
    for flags, message in (
        (["--shard=9/9"], "the last of 9 is 8/9"),
        (["--shard=0/9", "--overwrite"], "--overwrite would have each share replace"),
        (["--shard=0/9", "--engine=ray"], "--shard is for processes without Ray"),
        (["--address=head:6379"], "--address is for --engine=ray"),
    ):
        assert main([*arguments, *flags]) == 2
        assert message in capsys.readouterr().err
