import jax
import pytest


@pytest.fixture(scope="package", autouse=True)
def quick_compilation():
    """Compiling takes most of these tests' time, and none of them is about speed."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
