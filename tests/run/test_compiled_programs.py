"""The folder of compiled programs: where it is, when there is none, and what damage does to it."""

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from animal_clip_jax.run.compiled_programs import keep_compiled_programs

_SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_enable_compilation_cache",
    "jax_persistent_cache_min_compile_time_secs",
)


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """The user's folder of caches, as a process finds it that has just begun."""
    before = {name: getattr(jax.config, name) for name in _SETTINGS}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def compile_and_run() -> float:
    return float(jax.jit(lambda x: jnp.sin(x) * 3 + 1)(0.5))


def entries(folder):
    return sorted(folder.glob("animal_clip_jax/compiled/*/*-cache"))


def test_programs_are_kept_and_a_damaged_one_is_compiled_again(caches):
    keep_compiled_programs()
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    expected = compile_and_run()
    assert (kept := entries(caches))
    for path in kept:
        path.write_bytes(path.read_bytes()[:-20])
    compilation_cache.reset_cache()
    jax.clear_caches()
    with pytest.warns(UserWarning, match="persistent compilation cache"):
        assert compile_and_run() == expected


def test_what_the_user_has_set_is_left(caches):
    jax.config.update("jax_compilation_cache_dir", str(caches / "own"))
    keep_compiled_programs()
    assert jax.config.jax_compilation_cache_dir == str(caches / "own")


def test_it_can_be_switched_off(caches):
    jax.config.update("jax_enable_compilation_cache", False)
    keep_compiled_programs()
    assert jax.config.jax_compilation_cache_dir is None


def test_without_a_place_for_it_there_is_none(caches, monkeypatch):
    (caches / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches / "file"))
    keep_compiled_programs()
    assert jax.config.jax_compilation_cache_dir is None
