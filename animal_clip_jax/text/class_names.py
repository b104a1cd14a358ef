"""The names of the actions as tokens, for a model that puts learned vectors around them."""

from collections.abc import Sequence

import numpy as np

from animal_clip_jax.errors import UserError, quoted
from animal_clip_jax.models.video_prompt import VideoPromptArchitecture
from animal_clip_jax.text.tokenizer import CONTEXT_LENGTH, tokenize

# Tokens that are counted of a name that does not fit.
_LONGEST_COUNTED = 10 * CONTEXT_LENGTH
_NAMES_SHOWN = 5


def name_tokens(names: Sequence[str], architecture: VideoPromptArchitecture) -> np.ndarray:
    """Names as rows of tokens, as `VideoPrompt.prompted` takes them.

    Args:
        names: of the actions, at least one.
        architecture: says how many tokens fit between the learned vectors.

    Returns:
        (names, length) int32: start token, name, end token, zeros; as short as the longest name
        allows, so that no more positions than needed are computed.

    Raises:
        UserError: a name is too long (says which, how many tokens it has and how many fit), or
            cannot be tokenised, see `tokenizer.tokenize`.
    """
    tokens = tokenize(names, _LONGEST_COUNTED)
    lengths = np.argmax(tokens, axis=1) - 1  # the start token is not counted
    longest = architecture.longest_name
    too_long = np.flatnonzero(lengths > longest)
    if too_long.size:
        shown = ", ".join(
            f"{quoted(names[index])} ({lengths[index]} tokens)" for index in too_long[:_NAMES_SHOWN]
        )
        more = too_long.size - _NAMES_SHOWN
        others = f" and {more} more" if more > 0 else ""
        raise UserError(
            f"class names of more tokens than fit: {shown}{others}; at most {longest} fit between "
            f"the {architecture.prefix} learned vectors before a name and the "
            f"{architecture.suffix} after it ({architecture.clip.context_length} positions, two of "
            "them for the start and the end): shorten the names, or choose a smaller prefix or "
            "suffix"
        )
    return tokens[:, : int(lengths.max()) + 2]
