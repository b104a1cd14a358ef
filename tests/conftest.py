"""Set-up that all tests share."""

import os
import pathlib

import jax
import open_clip
import pytest
import tiny_run


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Programs that several tests compile are compiled once in a run of the tests, in the
    processes that they start too, and in all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    folder = str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory):
    """What programs keep for their next start stays out of the user's own folder of caches."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> pathlib.Path:
    """A folder of rendered videos and their annotations."""
    folder = tmp_path_factory.mktemp("videos")
    tiny_run.render(folder)
    return folder


@pytest.fixture(scope="session")
def data(videos, tmp_path_factory) -> pathlib.Path:
    """The videos, converted."""
    folder = tmp_path_factory.mktemp("converted") / "data"
    tiny_run.convert_videos(videos, folder)
    return folder


@pytest.fixture(scope="session")
def run(data, tmp_path_factory) -> pathlib.Path:
    """The workdir of a finished run of `tiny_run.get_config`; tests copy it to change it.

    Made in a process of its own, as a person makes one.
    """
    workdir = tmp_path_factory.mktemp("run") / "workdir"
    tiny_run.finish(workdir, data)
    return workdir


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
