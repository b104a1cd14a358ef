"""Products of matrices in a program for GPUs, beside shapes multiplied by hand."""

from made_gpu_program import GPU_PROGRAM
from made_program import PROGRAM

from animal_clip_jax.parallel.hlo import instructions, product_flops
from animal_clip_jax.parallel.hlo_products import Product

# Twice rows × columns × what is summed over; of attention for 6 rows of 2 heads of 10 tokens.
MLP = 2 * 60 * 128 * 64
SCORES = 2 * (6 * 2) * 10 * 10 * 32
FOUND = {
    "mlp": Product(MLP, "bf16"),
    "attention forward": Product(2 * SCORES, "bf16"),
    "attention backward": Product(5 * SCORES, "bf16"),
    "graph": Product(2 * 3 * 8 * 2 * 4, "f32", is_exact=True),
    "loss": Product(2 * 3 * 8 * 2 * 4, "f32"),
    "cosines": Product(2 * 8 * 2 * 4, "f32"),
}


def by_origin():
    return {
        instruction.origin: instruction
        for instruction, _, is_part in instructions(GPU_PROGRAM)
        if not is_part
    }


def test_products_of_libraries_and_in_fusions():
    found = by_origin()
    body = "jit(step)/while/body/closed_call"
    origins = {
        "mlp": f"{body}/jvp(block)/mlp/dot_general",
        "attention forward": f"{body}/jvp(block)/attention/dot_product_attention_fwd",
        "attention backward": f"{body}/transpose(jvp(block))/attention/dot_product_attention_bwd",
        "graph": "jit(step)/jvp(graph)/dot_general",
        "loss": "jit(step)/jvp(loss)/dot_general",
        "cosines": "jit(step)/jvp(cosines)/dot_general",
    }
    assert {name: found[origin].products for name, origin in origins.items()} == {
        name: (product,) for name, product in FOUND.items()
    }


def test_a_loop_multiplies():
    in_the_loop = sum(FOUND[name].flops for name in FOUND if name[0] in "ma")
    beside = sum(FOUND[name].flops for name in FOUND if name[0] not in "ma")
    assert product_flops(GPU_PROGRAM) == 3 * in_the_loop + beside


def test_scratch_memory_is_no_result():
    found = by_origin()
    mlp = found["jit(step)/while/body/closed_call/jvp(block)/mlp/dot_general"]
    assert (mlp.operand_bytes, mlp.result_bytes) == (2 * (60 * 64 + 64 * 128 + 128), 2 * 60 * 128)
    backward = next(of for origin, of in found.items() if origin.endswith("attention_bwd"))
    assert backward.result_bytes == 3 * 2 * 6 * 10 * 64


def test_programs_for_tpus_have_none():
    assert product_flops(PROGRAM) == 0
