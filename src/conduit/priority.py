"""Which requests are batch work and let interactive ones go first: those made within ``batch_work()``.

A context variable, so that whatever a batch calls is batch work as well, in its threads and tasks too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_in_batch: ContextVar[bool] = ContextVar("conduit_in_batch", default=False)


@contextmanager
def batch_work() -> Iterator[None]:
    """Requests made inside are batch work."""
    token = _in_batch.set(True)
    try:
        yield
    finally:
        _in_batch.reset(token)


def in_batch() -> bool:
    """Whether what runs here is batch work."""
    return _in_batch.get()
