"""Animal-CLIP beside the models that it was published beside, in the synthetic world.

    make models

trains a small one of each with the same clips, frames and epochs, and three seeds, tests each on
clips whose frames are in order and in none, and writes a table and a figure into docs/results.md.
Interrupted, it goes on where it was. `benchmarks.models.sizes` has what the full models take.
"""

import sys

from benchmarks.models import page
from benchmarks.models.kinds import KINDS
from benchmarks.trainings.command import Comparison, run

COMPARISON = Comparison(
    name="models",
    summary="Animal-CLIP beside its rivals in the synthetic world.",
    kinds=KINDS,
    written=page.written,
    draw=page.draw,
    figure=page.FIGURE,
)

if __name__ == "__main__":
    sys.exit(run(COMPARISON, None))
