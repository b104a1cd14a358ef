"""Batches that are still being read when the process ends."""

import subprocess
import sys

import tiny_run

READS = """
import itertools
from data_pipeline.batches.reading import elements_of
from data_pipeline.tensorflow_import import tf

# Always about to ask for the next.
signature = tf.TensorSpec((), tf.int64)
numbers = tf.data.Dataset.from_generator(itertools.count, output_signature=signature)
elements = elements_of(numbers.batch(1).prefetch(1_000_000), 1)
next(elements)
"""


def test_a_process_that_still_reads_ends():
    command = [sys.executable, "-c", READS]
    ended = subprocess.run(command, cwd=tiny_run.ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
