"""The matrix products in the text of a program that was compiled for NVIDIA's GPUs.

They are instructions of their own, parts of a fusion, or calls of cuBLAS and cuDNN.
"""

import dataclasses
import math
import re
from collections.abc import Sequence

ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
# The dimensions of the left operand that a product sums over, as the instruction itself has them,
# and as a call of cuBLAS has them.
_CONTRACTED = (
    re.compile(r"\blhs_contracting_dims=\{([\d,]*)\}"),
    re.compile(r'"gemm_backend_config":.*?"lhs_contracting_dimensions": ?\[([^\]]*)\]'),
)
_EXACT = re.compile(r"operand_precision(?:=\{|\": ?\[)[^}\]]*\b(?:highest|HIGHEST)\b")
_LIBRARY = re.compile(r'\bcustom_call_target="__(?:cublas|cudnn)\$')
_ATTENTION = re.compile(r'\bcustom_call_target="__cudnn\$fmha(\w*)"')
_WEIGHTS = re.compile(r'"intermediate_tensor_shape": ?\{.*?"dimensions": ?\[([^\]]*)\]')
# Scores and values; and backward those of the weights, the values, the queries and the keys, after
# the scores once more.
_PRODUCTS_FORWARD, _PRODUCTS_BACKWARD = 2, 5


@dataclasses.dataclass(frozen=True)
class Product:
    """One product of matrices, or several alike.

    Attributes:
        flops: operations, twice its multiply-adds.
        dtype: of what is multiplied, "bf16" or "f32".
        is_exact: float32 must not be rounded to fewer bits for it.
    """

    flops: int
    dtype: str
    is_exact: bool = False


def product_of(result: str, operands: Sequence[str], attributes: str) -> Product | None:
    """The product that an instruction is, None for all others.

    Args:
        result: its type, "(bf16[8,2]{1,0}, s8[4194304]{0})".
        operands: theirs.
        attributes: what stands behind its operands.
    """
    if not operands or not (left := ARRAY.search(operands[0])):
        return None
    dtype, sizes = left[1], _sizes(left[2])
    if (attention := _ATTENTION.search(attributes)) and (weights := _WEIGHTS.search(attributes)):
        count = _PRODUCTS_BACKWARD if "Backward" in attention[1] else _PRODUCTS_FORWARD
        return Product(2 * count * math.prod(_sizes(weights[1])) * sizes[-1], dtype)
    contracted = next(
        (found for pattern in _CONTRACTED if (found := pattern.search(attributes))), None
    )
    out = ARRAY.search(result)
    if not contracted or not out:
        return None
    summed = math.prod(sizes[axis] for axis in _sizes(contracted[1]))
    flops = 2 * summed * math.prod(_sizes(out[2]))
    return Product(flops, dtype, is_exact=bool(_EXACT.search(attributes)))


def without_scratch(result: str, attributes: str) -> str:
    """A result's type without the scratch memory that calls of NVIDIA's libraries have at its end,
    bytes that nobody reads."""
    if not _LIBRARY.search(attributes):
        return result
    return re.sub(r", (?:/\*index=\d+\*/)?[su]8\[\d*\](?:\{0\})?\)$", ")", result)


def _sizes(text: str) -> list[int]:
    return [int(size) for size in re.findall(r"\d+", text)]
