import dataclasses
import importlib.util

import pytest
from made_gpu_program import GPU_PROGRAM

from animal_clip_jax.errors import UserError
from animal_clip_jax.estimate import main
from animal_clip_jax.estimates.targets import parse_target
from animal_clip_jax.parallel.hlo import instructions
from animal_clip_jax.parallel.hlo_products import Product


def test_a_topology_that_is_left_out_is_the_smallest():
    assert parse_target("tpu:v5e") == parse_target("tpu:v5e:2x2")
    assert parse_target("tpu:v5p").topology == "2x2x1"
    assert parse_target("cuda:h100") == parse_target("cuda:h100:1")
    assert parse_target("cpu").chip is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tpu:v5e:2x2x2", "'2x2x2' is no topology of v5e, which has 2 axes; expected one such"),
        ("tpu:v5e:0x2", "'0x2' is no topology"),
        ("tpu:v5e:2x", "'2x' is no topology"),
        ("tpu:v5p:2x2", "expected one such as 2x2x1"),
        ("tpu:v5", "there is no TPU 'v5'; did you mean v5"),
        ("tpu:v6:2x2", "there is no TPU 'v6'; did you mean v6e?"),
        ("tpu", "there is no target 'tpu'"),
        ("cpuu", "there is no target 'cpuu'; did you mean cpu?"),
        ("tup:v5e:2x2", "did you mean tpu:v5e:2x2?"),
        ("cuda", "there is no target 'cuda'; "),
        ("cuda:a100", "there is no GPU 'a100'; did you mean h100?"),
        ("cuda:h100:9", "'9' is no number of GPUs in a machine of h100; expected 1 to 8"),
        ("cuda:h100:0", "'0' is no number of GPUs"),
        ("cuda:h100:2x2", "'2x2' is no number of GPUs"),
        ("gpu:h100", "did you mean cuda:h100:1?"),
        ("cpu:4", "there is no target 'cpu:4'; did you mean cpu?"),
        ("", "there is no target ''"),
    ],
)
def test_an_unknown_target_is_said_with_the_nearest(text, message):
    with pytest.raises(UserError) as error:
        parse_target(text)
    assert message in str(error.value)


KERNEL = """\
ENTRY %main (a: f32[8,4]) -> f32[8,4] {
  %a = f32[8,4]{1,0} parameter(0)
  ROOT %kernel.1 = f32[8,4]{1,0} custom-call(%a), custom_call_target="tpu_custom_call", backend_config={"custom_call_config": {"body": "TUzvUg==", "cost_estimate": {"flops": 197000000, "transcendentals": 1536000, "bytes_accessed": 819000, "remote_bytes_transferred": 0}, "needs_layout_passes": true}}
}
"""  # noqa: E501


def test_a_kernel_takes_what_its_author_says():
    chip = parse_target("tpu:v5e").chip
    assert chip is not None
    _, (kernel, _, _) = instructions(KERNEL)
    # 197 TFLOP/s, of which half; 1.5 GHz with 1024 lanes; 819 GB/s.
    assert chip.seconds(kernel) == pytest.approx(2e-6 + 1e-6 + 1e-6)


def test_on_a_gpu_the_longer_of_products_and_bytes_counts():
    """At an H100's 989 TFLOP/s in bfloat16, 494.7 in TF32, 66.9 in float32, 3352.32 GB/s of memory
    and 450 GB/s of NVLink."""
    chip = parse_target("cuda:h100").chip
    assert chip is not None
    taken = {
        instruction.origin.rpartition("jit(step)/")[2]: chip.seconds(instruction)
        for instruction, _, is_part in instructions(GPU_PROGRAM)
        if not is_part
    }
    mlp_bytes = 2 * (60 * 64 + 64 * 128 + 128 + 60 * 128)
    assert taken["while/body/closed_call/jvp(block)/mlp/dot_general"] == pytest.approx(
        max(2 * 60 * 128 * 64 / 989e12, mlp_bytes / 3352.32e9)
    )
    # Of eight devices each sends nearly twice what there is to sum, in a ring.
    assert taken["sum_gradients/add"] == pytest.approx(2 * 4 * 8 * 2 / 450e9)


def test_an_h200_is_an_h100_with_more_and_faster_memory():
    """141 GB at 4.8 TB/s, of which 0.95 can be used."""
    h100, h200 = (parse_target(f"cuda:{name}").chip for name in ("h100", "h200"))
    assert h100 is not None and h200 is not None
    assert h200.peak_flops == h100.peak_flops == 989e12
    assert (h200.memory, h200.bandwidth) == (133_950_000_000, 4.8e12)


@pytest.mark.parametrize(
    ("dtype", "is_exact", "peak"),
    [("bf16", False, 989e12), ("f32", False, 494.7e12), ("f32", True, 66.9e12)],
)
def test_products_take_the_peak_of_their_precision(dtype, is_exact, peak):
    chip = parse_target("cuda:h100").chip
    assert chip is not None
    _, (instruction, _, _), *_ = instructions(GPU_PROGRAM)
    large = dataclasses.replace(instruction, products=(Product(10**12, dtype, is_exact),) * 2)
    assert chip.seconds(large) == pytest.approx(2e12 / peak)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target=tpu:v6:2x2"], "there is no TPU 'v6'; did you mean v6e?"),
        (["--target=tpu:v5e:2x2", "--devices=4"], "--devices=4 is of --target=cpu"),
        (["--target=cpu,cuda:h100:12"], "'12' is no number of GPUs in a machine"),
        (["--target=cuda:h100:8", "--devices=8"], "others say themselves how many there are"),
        (["--devices=2,0"], "--devices: 0 is not at least 1"),
        (["--devices=2,"], "--devices: '' is not a whole number"),
        (["--batch_size=32,many"], "--batch_size: 'many' is not a whole number"),
    ],
)
def test_mistakes_are_said_in_a_line_before_anything_is_compiled(arguments, message, capsys):
    assert main(["--config=configs/demo.py", *arguments]) == 2
    output, errors = capsys.readouterr()
    assert output == "" and errors.startswith("error: ") and errors.count("\n") == 1
    assert message in errors


@pytest.mark.parametrize(
    ("target", "compiler", "extra"),
    [("tpu:v5e:2x2", "libtpu", "tpu"), ("cuda:h100", "jax_cuda12_plugin", "cuda")],
)
def test_without_the_compiler_the_extra_is_named(target, compiler, extra, capsys):
    if importlib.util.find_spec(compiler) is not None:
        pytest.skip(f"{compiler} is installed")
    assert main(["--config=configs/demo.py", f"--target={target}"]) == 2
    errors = capsys.readouterr().err
    assert f"needs {compiler}" in errors and f"pip install '.[{extra}]'" in errors
    assert errors.count("\n") == 1
