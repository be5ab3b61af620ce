"""Transactions: what blocks do to files and databases becomes final together, or is undone together.

In a flow the transaction is Prefect's (``with transaction():``, of Prefect or of Conduit), so that tasks with
rollback hooks take part in it as well. Outside a flow it is a plain context of this module. Blocks ask for the
transaction around them and add their parts; nothing here knows what a part is made of. Outside a flow Prefect is
never imported.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, ParamSpec

from conduit.dataflow.inside import current_flow_run_id
from conduit.dataflow.scope import Part, Scope
from conduit.errors import TransactionError

__all__ = ["Part", "Scope", "carried", "current", "is_open", "on_rollback", "transaction"]

P = ParamSpec("P")


class _Undo:
    """A call that undoes something which Conduit knows nothing of."""

    may_refuse = False

    def __init__(self, undo: Callable[[], Any], name: str) -> None:
        self.name, self._undo = name, undo

    def prepare(self) -> None:
        pass

    def commit(self) -> None:
        pass

    def rollback(self) -> None:
        self._undo()


_current: ContextVar[Scope | None] = ContextVar("conduit_transaction", default=None)
# The task was started within a transaction of another process.
_elsewhere: ContextVar[bool] = ContextVar("conduit_transaction_elsewhere", default=False)


@contextlib.contextmanager
def transaction() -> Iterator[None]:
    """What the blocks within do to files and databases becomes final at its end, or is undone by an error in it.

    File blocks put back what was there before, SQL blocks keep their database's transaction open until this one
    ends. In a flow it is Prefect's own transaction, with everything that Prefect adds. One within another belongs
    to the outer one.

    Raises:
        TransactionFailed: Something did not become final. Nothing did, but for the databases in ``committed``.
    """
    if current_flow_run_id() is not None:
        with _prefects().transaction():
            yield
        return
    outer = _current.get()
    scope = outer or Scope()
    token = _current.set(scope)
    try:
        yield
    except BaseException:
        scope.rollback()
        raise
    else:
        if outer is None:
            scope.commit()
    finally:
        _current.reset(token)


def on_rollback(undo: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
    """Has the transaction around this code call ``undo(...)`` if it is rolled back; without one nothing happens.

    For blocks that change what Conduit knows nothing of, right after they changed it.

    Raises:
        TransactionError: The transaction is over, or is in another process.
    """
    if (scope := current()) is not None:
        name = getattr(undo, "__qualname__", type(undo).__name__)
        scope.part(object(), lambda: _Undo(lambda: undo(*args, **kwargs), name))


def current() -> Scope | None:
    """The transaction around this code; ``None`` where there is none.

    Raises:
        TransactionError: It is over, or is in another process.
    """
    if (scope := _current.get()) is not None:
        return scope
    # A transaction of Prefect's can only be under way where Prefect is loaded.
    if "prefect.transactions" in sys.modules and (found := _prefects().scope()) is not None:
        return found  # type: ignore[no-any-return] # the module is imported by name
    if _elsewhere.get():
        raise TransactionError(
            "This block runs in another process than the transaction around it, which cannot undo it from there",
            hint="Call the block without a task runner of processes, or open the transaction within the task.",
        )
    return None


def is_open() -> bool:
    """Whether there is a transaction around this code, in this process or another."""
    try:
        return current() is not None
    except TransactionError:
        return True


@contextlib.contextmanager
def carried(within: bool) -> Iterator[None]:
    """Marks a task's body as called ``within`` a transaction, which may be in another process."""
    token = _elsewhere.set(within)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def _prefects() -> Any:
    from conduit.dataflow import prefect_transactions

    return prefect_transactions
