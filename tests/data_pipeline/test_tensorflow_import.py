"""TensorFlow keeps quiet, and what its import says of a failure is not lost."""

import subprocess
import sys

import tiny_run


def program(text: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", text], cwd=tiny_run.ROOT, capture_output=True, text=True
    )


def test_a_data_set_is_read_without_a_word_on_standard_error():
    result = program(
        "from data_pipeline.tensorflow_import import tf\n"
        "print(sum(int(k) for k in tf.data.Dataset.range(4)))\n"
        "import sys; print('keras' in sys.modules)\n"
        "from tensorflow.keras import layers; print(layers.Dense is tf.keras.layers.Dense)"
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "6\nFalse\nTrue\n"  # Keras is not imported, and can be


def test_what_was_held_back_is_shown_when_the_block_fails():
    result = program(
        "import os\n"
        "from data_pipeline.standard_error import held_standard_error\n"
        "with held_standard_error(): os.write(2, b'nobody needs this')\n"
        "os.write(2, b'after ')\n"
        "with held_standard_error():\n"
        "    os.write(2, b'a library is missing')\n"
        "    raise ImportError('broken')\n"
    )
    assert result.returncode == 1 and "nobody needs" not in result.stderr
    assert result.stderr.startswith("after a library is missing")
    assert result.stderr.rstrip().endswith("ImportError: broken")
