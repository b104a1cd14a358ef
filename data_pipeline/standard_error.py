"""What native code writes on standard error, held back."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def held_standard_error(*, unless: Sequence[str] = ()) -> Iterator[None]:
    """Holds back what this process writes on standard error, and shows it if the block fails.

    Args:
        unless: environment variables with flags of what the block calls. At one that it does not
            know, native code ends the process, and what is held is lost: nothing is where one of
            these variables is set.
    """
    if any(map(os.environ.get, unless)):
        yield
        return
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
