"""Models on Hugging Face's hub, by name: `openai/clip-vit-base-patch16`.

Only the files that `readers` reads are fetched, into the hub's own cache, where the next call finds
them without a network.
"""

import os
import pathlib
import re
from typing import cast

from animal_clip_jax.conversion.readers import LAYOUTS, WEIGHT_SUFFIXES
from animal_clip_jax.errors import UserError

_PREFIX = "hf-hub:"
_NAME = re.compile(r"(?P<name>\w[\w.-]*(/\w[\w.-]*)?)(@(?P<revision>[\w./-]+))?")
_PREPROCESSOR = ["preprocessor_config.json"]


def local_path(source: str | os.PathLike[str]) -> pathlib.Path:
    """Where a checkpoint lies on this machine; a model of the hub is fetched.

    Args:
        source: a path; or the name of a model on the hub, "owner/name" or "hf-hub:owner/name",
            either with "@revision". What is there as a file or folder is a path, whatever it looks
            like.

    Raises:
        UserError: the model is not there, may not be read, holds no checkpoint, or there is no
            network; one line that says which.
    """
    text = os.fspath(source)
    if not is_name(text):
        return pathlib.Path(text)
    match = _NAME.fullmatch(text.removeprefix(_PREFIX))
    assert match is not None
    return _fetch(match["name"], match["revision"])


def is_name(source: str) -> bool:
    """Whether a source is the name of a model on the hub, and no path."""
    if os.path.exists(source):
        return False
    if source.startswith(_PREFIX):
        return _NAME.fullmatch(source.removeprefix(_PREFIX)) is not None
    first, slash, _ = source.partition("/")
    return (
        _NAME.fullmatch(source) is not None
        and bool(slash)
        and not source.endswith((*WEIGHT_SUFFIXES, ".json"))
        and not os.path.exists(first)
    )


def _fetch(name: str, revision: str | None) -> pathlib.Path:
    folder = _snapshot(name, revision, [config for _, config, _ in LAYOUTS], also=_PREPROCESSOR)
    for _, config, weights in LAYOUTS:
        if not (folder / config).is_file():
            continue
        # Safetensors first; a torch file is only fetched where there are none.
        for suffix in (".safetensors", ".bin"):
            wanted = [file for file in weights if suffix in file]
            shards = [f"{file.partition('.')[0]}-*{suffix}" for file in wanted]
            folder = _snapshot(name, revision, wanted, also=shards)
            if any((folder / file).is_file() for file in wanted):
                return folder
    raise UserError(
        f"{name}: the model on Hugging Face has no weights that can be read; expected "
        f"{' or '.join(f'{config} with {weights[0]}' for _, config, weights in LAYOUTS)}"
    )


def _snapshot(
    name: str, revision: str | None, files: list[str], *, also: list[str]
) -> pathlib.Path:
    """The folder of the cache that holds a model, with these of its files."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # or it warns of every file that a model does not have
    # The errors of the client, whichever this version of the hub takes.
    client_error = cast(type[Exception], HfHubHTTPError.__base__)
    try:
        return pathlib.Path(
            snapshot_download(name, revision=revision, allow_patterns=[*files, *also])
        )
    except GatedRepoError as error:
        reason = (
            f"its owner asks for an agreement: accept it on https://huggingface.co/{name} and log "
            "in with `hf auth login`"
        )
        raise _cannot(name, reason) from error
    except RevisionNotFoundError as error:
        raise _cannot(name, f"it has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        reason = "there is no model of that name, or it is private (`hf auth login` logs in)"
        raise _cannot(name, reason) from error
    except HFValidationError as error:
        raise _cannot(name, "that is not the name of a model") from error
    except (OSError, client_error) as error:
        if constants.is_offline_mode():
            reason = f"HF_HUB_OFFLINE is set, and {constants.HF_HUB_CACHE} does not hold it"
        else:
            cause = error.__cause__ or error
            detail = str(cause).strip().partition("\n")[0]
            reason = f"Hugging Face did not answer ({type(cause).__name__}: {detail})"
        raise _cannot(name, reason) from error


def _cannot(name: str, reason: str) -> UserError:
    return UserError(
        f"{name}: no such file or folder here, and the model of that name cannot be had from "
        f"Hugging Face: {reason}. A folder that was downloaded elsewhere can be given instead"
    )
