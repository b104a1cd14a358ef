"""Programs that the commands compiled, kept for their next start."""

import hashlib
import os
import pathlib
import platform
from typing import Any

import jax

from animal_clip_jax.text.feature_cache import user_caches

# Shorter compilations are not worth a file.
_LEAST_SECONDS = 0.1


def keep_compiled_programs() -> None:
    """Has jax keep compiled programs in the user's folder of caches, as a command begins.

    Nothing is done where the user has said otherwise with jax's own settings:
    JAX_COMPILATION_CACHE_DIR names another folder, and JAX_ENABLE_COMPILATION_CACHE=false keeps
    nothing. jax knows an entry by all that a program depends on; what it cannot read, of a damaged
    entry or one that another process is writing, it compiles again, with a warning. It never
    replaces or deletes an entry.
    """
    config: Any = jax.config
    if config.jax_compilation_cache_dir is not None or not config.jax_enable_compilation_cache:
        return
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # whoever has no place for caches compiles anew
    config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)


def _folder() -> pathlib.Path:
    """Of this kind of processor: programs for it use all that it can, and a folder of caches may be
    shared by machines."""
    processor = hashlib.sha256(f"{platform.machine()} {_abilities()}".encode()).hexdigest()[:12]
    return user_caches() / "compiled" / processor


def _abilities() -> str:
    """What the processor can, as Linux lists it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
