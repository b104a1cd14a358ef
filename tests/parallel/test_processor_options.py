"""What the compiler of processors is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from animal_clip_jax.parallel.compiler_options import compiler_options, processor_compiler_knows
from animal_clip_jax.parallel.mesh import make_mesh


def options_here() -> dict[str, str]:
    mesh = make_mesh({"data": -1, "fsdp": 1, "model": 1})
    return compiler_options(mesh)


def test_an_option_that_this_jaxlib_does_not_have_is_no_error():
    assert not processor_compiler_knows((("xla_cpu_no_such_option", "1"),))


def test_large_products_are_not_left_to_ynnpack():
    if "xla_cpu_experimental_ynn_fusion_type" not in (options := options_here()):
        pytest.skip("of x86 processors")
    random = np.random.default_rng(0)
    left, right = (random.standard_normal(shape, np.float32) for shape in ((512, 768), (768, 256)))
    compiled = jax.jit(jnp.matmul, compiler_options=options).lower(left, right).compile()
    assert "ynn_fusion" not in compiled.as_text()
    expected = np.float64(left) @ np.float64(right)
    np.testing.assert_allclose(compiled(left, right), expected, atol=1e-3)


def test_passes_that_the_environment_disables_stay_disabled(monkeypatch):
    before = options_here()["xla_disable_hlo_passes"].split(",")
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1 --xla_disable_hlo_passes=one,two --xla_b=2")
    assert options_here()["xla_disable_hlo_passes"] == f"one,two,{before[-1]}"


def test_what_the_backward_pass_computes_again_is_not_stored():
    def block(x, kernel):
        return x + jnp.tanh(jnp.tanh(x @ kernel) * x)

    def temporaries(block) -> int:
        def loss(kernels, x):
            for kernel in kernels:
                x = block(x, kernel)
            return jnp.sum(x)

        step = jax.jit(jax.grad(loss), compiler_options=options_here())
        compiled = step.lower([jnp.ones((16, 16))] * 8, jnp.ones((4096, 16))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporaries(jax.checkpoint(block)) < 0.6 * temporaries(block)
