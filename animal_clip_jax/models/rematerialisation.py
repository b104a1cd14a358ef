"""What the backward pass finds stored of a block, and what it computes again."""

import jax
from jax.ad_checkpoint import checkpoint_name

_KEPT = "kept"

# By their names in `config.model.remat`. Stored is everything, nothing but a block's input, or what
# the model gives to `kept`.
REMAT_POLICIES = {
    "none": None,
    "blocks": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.save_only_these_names(_KEPT),
}


def kept(x: jax.Array) -> jax.Array:
    """The same, marked as what "dots" keeps: the results of matrix products that the backward pass
    needs, with what is added to them. Products by themselves would be written beside their sums
    with a bias, and read again for these (benchmarks/NOTES.md)."""
    return checkpoint_name(x, _KEPT)
