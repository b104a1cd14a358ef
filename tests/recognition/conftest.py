"""Recognisers of random weights, converted from OpenCLIP's form."""

import pathlib

import open_clip
import pytest


@pytest.fixture(scope="session")
def open_clip_folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("open_clip") / "bioclip"
    open_clip.write(folder)
    return folder


@pytest.fixture(scope="session")
def recogniser_folder(open_clip_folder, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("recogniser") / "weights"
    open_clip.convert_to(open_clip_folder, folder)
    return folder
