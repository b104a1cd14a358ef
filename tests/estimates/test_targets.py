import importlib.util

import pytest

from animal_clip_jax.errors import UserError
from animal_clip_jax.estimate import main
from animal_clip_jax.estimates.targets import parse_target
from animal_clip_jax.parallel.hlo import instructions


def test_a_topology_that_is_left_out_is_the_smallest():
    assert parse_target("tpu:v5e") == parse_target("tpu:v5e:2x2")
    assert parse_target("tpu:v5p").topology == "2x2x1"
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target=tpu:v6:2x2"], "there is no TPU 'v6'; did you mean v6e?"),
        (["--target=tpu:v5e:2x2", "--devices=4"], "--devices=4 is of --target=cpu"),
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


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is not None, reason="libtpu is installed")
def test_without_the_compiler_the_extra_is_named(capsys):
    assert main(["--config=configs/demo.py", "--target=tpu:v5e:2x2"]) == 2
    errors = capsys.readouterr().err
    assert "needs libtpu" in errors and "pip install '.[tpu]'" in errors
    assert errors.count("\n") == 1
