"""Small work on one thread: on many threads it waits for the slowest core, several times as long where one is busy."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def single_pool() -> Iterator[None]:
    """One thread inside the block for the BLAS and OpenMP libraries that are loaded by now, such as those of numpy and
    scikit-learn. Import what computes before."""
    with threadpool_limits(limits=1):
        yield
