"""The memory of the process: what is freed is kept for the next array.

Analysing series makes arrays of a megabyte by the dozen, and glibc gives each back to the system at once, which then
has to fetch and clear new pages: a merge of 300 parts takes 1.4 times as long (`benchmarks/merging.py --give-back`).
"""

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT, LARGEST = 1 << 30, 1 << 25  # bytes: what is not given back, and blocks that come from it (no larger ones can)


def keep_freed() -> None:
    """For programs, not for libraries; does nothing where the C library is another one."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(MMAP_THRESHOLD, LARGEST)
