"""The notebook of the documentation, run as Jupyter runs it, on a small run, not the demo's."""

import pathlib

import nbclient
import nbformat
import pytest
import tiny_run

NOTEBOOK = tiny_run.ROOT / "docs" / "quickstart.ipynb"


@pytest.fixture
def cells(run, videos, tmp_path):
    demo = tmp_path / "runs" / "demo"
    demo.mkdir(parents=True)
    (demo / "run").symlink_to(run)
    (demo / "videos").symlink_to(videos)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    return client.execute().cells


def test_it_goes_from_a_clip_to_a_timeline(cells, tmp_path):
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    pages = [output.data["text/html"] for output in outputs if "data" in output]
    assert len(pages) == 3  # two answers and a timeline
    assert "animals, given" in pages[1] and "Bear" in pages[1]
    assert "recording.mp4" in pages[2] and (tmp_path / "recording.mp4").stat().st_size
    assert not any("Warning" in output.get("text", "") for output in outputs)


def test_what_is_kept_of_it_is_whole_and_of_no_machine():
    text = NOTEBOOK.read_text()
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert str(pathlib.Path.home()) not in text and "/tmp" not in text
