"""A small instance of every format that this project reads, and how it is read.

Formats of others without a checksum, and texts that people write, may say something else once they
are damaged; for them there is a second, simple reading, which has to agree.
"""

import class_formats
import dataset_formats
import distribution_formats
import footage_formats
import run_formats
import weights_formats

FORMATS = (
    *weights_formats.FORMATS,
    *run_formats.FORMATS,
    *dataset_formats.FORMATS,
    *distribution_formats.FORMATS,
    *footage_formats.FORMATS,
    *class_formats.FORMATS,
)
