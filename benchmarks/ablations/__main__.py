"""What parts of the method are worth in the synthetic world, and how sure that is.

    make ablations

trains one model a variant and seed, as many at once as there are cores, tests each on every
question under every source of the animals, and writes tables and a figure into docs/results.md.
Interrupted, it goes on where it was; trainings that are done are not repeated.
"""

import sys

from benchmarks.ablations import page
from benchmarks.ablations.variants import VARIANTS
from benchmarks.trainings.command import Comparison, run

COMPARISON = Comparison(
    name="ablations",
    summary="What parts of the method are worth.",
    kinds=VARIANTS,
    written=page.written,
    draw=page.draw,
    figure=page.FIGURE,
)

if __name__ == "__main__":
    sys.exit(run(COMPARISON, None))
