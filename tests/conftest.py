"""Set-up that all tests share."""

import fcntl
import gc
import os
import pathlib
import subprocess
from collections.abc import Callable

from jaxlib.version import __version_info__ as jaxlib_version

# Compiling takes most of the tests' time, and none of them is about speed: before JAX is imported,
# for this process and for those that it starts. JAX_DISABLE_MOST_OPTIMIZATIONS=0 compiles as users
# do.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# It takes half the time without fusion emitters, and a tenth less in one piece than in many, as
# every core has another test to do. These passes take a third of what is left; programs are right
# without them. A flag that jaxlib does not know ends the process, and XLA's come and go: with a
# newer jaxlib than was tried, the tests take longer.
if os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] != "0" and jaxlib_version < (0, 11):
    slow_passes = (
        "constant_folding",
        "gather_expander",
        "hlo-verifier",
        "reshape-mover",
        "simplify-conditional",
        "simplify-while-loops",
        "tree_reduction_rewriter",
        "while-loop-constant-sinking",
        "while-loop-invariant-code-motion",
    )
    flags = [
        *os.environ.get("XLA_FLAGS", "").split(),
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
        f"--xla_disable_hlo_passes={','.join(slow_passes)}",
    ]
    os.environ["XLA_FLAGS"] = " ".join(dict.fromkeys(flags))

import hypothesis
import jax
import open_clip
import pytest
import tiny_run

from animal_clip_jax.command_line import collect_garbage_seldom
from animal_clip_jax.run.train import train

# Before the tests import TensorFlow and torch.
collect_garbage_seldom()

# How long an example takes says nothing of whether it is right, on a machine that does other work.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# The folders whose files take longest. They come first, so that at the end no process is left with
# a long file while the others have nothing more to do; and of these one that most of needs no run,
# so that not all processes wait at once for the one that makes it.
LONGEST = ("parallel", "run", "conversion", "parity", "recognition")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of the longest folders first; a file's tests stay together, and in their order."""

    def rank(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """What the imports made stays: looking through all of it for garbage takes half a second."""
    gc.collect()
    gc.freeze()


def _of_all_workers(tmp_path_factory) -> pathlib.Path:
    """The temporary folder that the workers of pytest-xdist have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _made_once(tmp_path_factory, name: str, make: Callable[[pathlib.Path], object]) -> pathlib.Path:
    """A folder that the first worker makes that needs it, while the others wait for it."""
    place = _of_all_workers(tmp_path_factory) / "made_once"
    place.mkdir(exist_ok=True)
    folder, finished = place / name, place / f"{name}.finished"
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            make(folder)
            finished.touch()
    return folder


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Programs that several tests compile are compiled once in a run of the tests, in the
    processes that they start too, and in all workers of pytest-xdist. Short ones as well: to read
    one takes half the time that compiling it does."""
    folder = str(_of_all_workers(tmp_path_factory) / "compiled")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory):
    """What programs keep for their next start stays out of the user's own folder of caches."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of half a MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("may not mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> pathlib.Path:
    """A folder of rendered videos and their annotations."""
    return _made_once(tmp_path_factory, "videos", tiny_run.render)


@pytest.fixture(scope="session")
def data(videos, tmp_path_factory) -> pathlib.Path:
    """The videos, converted."""
    return _made_once(
        tmp_path_factory, "data", lambda folder: tiny_run.convert_videos(videos, folder)
    )


@pytest.fixture(scope="session")
def run(data, tmp_path_factory) -> pathlib.Path:
    """The workdir of a finished run of `tiny_run.get_config`; tests copy it to change it."""
    config = tiny_run.config_on(data)
    return _made_once(tmp_path_factory, "run", lambda workdir: train(config, workdir))


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
