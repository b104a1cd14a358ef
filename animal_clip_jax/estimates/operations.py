"""How many operations the products and convolutions of a traced program take, twice a multiply-add.

For models whose products nobody has written down: I3D, SlowFast, X3D, MViT, VideoPrompt and EVL.
What is added or multiplied value by value is not in it.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def operations(function: Callable[..., Any], *shapes: Any) -> float:
    """The operations of a call.

    Args:
        function: anything that JAX can trace.
        shapes: of its arguments, trees of arrays or `jax.ShapeDtypeStruct`s.
    """
    return _of_jaxpr(jax.make_jaxpr(function)(*shapes).jaxpr)


def _of_jaxpr(jaxpr: core.Jaxpr) -> float:
    return sum(map(_of_equation, jaxpr.eqns))


def _of_equation(equation: core.JaxprEqn) -> float:
    name, values = equation.primitive.name, equation.params
    if name == "dot_general":
        ((contracted, _), _) = values["dimension_numbers"]
        depth = math.prod(_shape(equation.invars[0])[axis] for axis in contracted)
        return 2 * depth * math.prod(_shape(equation.outvars[0]))
    if name == "conv_general_dilated":
        kernel = _shape(equation.invars[1])
        out_width = kernel[values["dimension_numbers"].rhs_spec[0]]
        # The kernel holds, for each output, the inputs of its own group. Of an input with zeros put
        # in between, as the gradient of a strided convolution has it, zeros are not counted.
        taps = math.prod(kernel) / out_width / math.prod(values["lhs_dilation"])
        return 2 * taps * math.prod(_shape(equation.outvars[0]))
    if name == "cond":  # ways of computing the same thing, of which one may use no product
        return max(_of_jaxpr(branch.jaxpr) for branch in values["branches"])
    times = values["length"] if name == "scan" else 1
    return times * sum(map(_of_jaxpr, _inner(values)))


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _inner(values: dict[str, Any]) -> list[core.Jaxpr]:
    """The programs within an equation: a call, a loop, a function with its own gradient."""
    programs = [value for value in values.values() if isinstance(value, core.ClosedJaxpr)]
    return [program.jaxpr for program in programs] + [
        value for value in values.values() if isinstance(value, core.Jaxpr)
    ]
