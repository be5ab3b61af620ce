"""Prefect's transactions as scopes that blocks take part in.

Each task opens a transaction of its own, which is no reason to hold a database open: only one that a user opened
counts. Prefect logs an error of a commit hook and goes on as if all were well; here it is raised when the
transaction's block ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from prefect.transactions import (
    AsyncTransaction,
    BaseTransaction,
    CommitMode,
    TransactionState,
    get_transaction,
    transaction,
)

from conduit.dataflow.scope import Scope, ended
from conduit.errors import TransactionFailed

__all__ = ["scope", "transaction"]

_lock = threading.Lock()


class _Commit:
    """The hook by which a scope becomes final; it also finds the scope again in its transaction."""

    log_on_run = False

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.failure: TransactionFailed | None = None

    def __call__(self, _: BaseTransaction) -> None:
        try:
            self.scope.commit()
        except TransactionFailed as failure:
            self.failure = failure
            raise


class _Rollback:
    """The hook by which a scope is undone."""

    log_on_run = False

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __call__(self, _: BaseTransaction) -> None:
        self._scope.rollback()


def scope() -> Scope | None:
    """The scope of the transaction that decides over this code.

    Raises:
        TransactionError: That transaction was rolled back.
    """
    if (found := _deciding()) is None:
        return None
    with _lock:
        for hook in found.on_commit_hooks:
            if isinstance(hook, _Commit):
                return hook.scope
        if found.state is TransactionState.ROLLED_BACK:
            raise ended("rolled back")
        if (
            found.state is TransactionState.COMMITTED
        ):  # with an earlier run's record: there is nothing to decide
            return None
        made = Scope()
        commit = _Commit(made)
        # The last thing to be committed, and the first to be undone: before the tasks' own hooks run.
        found.on_commit_hooks.append(commit)
        found.on_rollback_hooks.append(_Rollback(made))
        found.__dict__["reset"] = (
            _strict_async(found, commit) if isinstance(found, AsyncTransaction) else _strict(found, commit)
        )
        return made


def _deciding() -> BaseTransaction | None:
    """The user's transaction whose end makes final what is done here."""
    chain: list[BaseTransaction] = []
    found = get_transaction()
    while found is not None:
        chain.append(found)
        found = found.get_parent() if found._token else None  # noqa: SLF001 # without one it would ask the context
    # The outermost transaction of each task is the one that Prefect's engine opened for it.
    engines = {_task_run(one): one for one in chain}
    users = [one for one in chain if _task_run(one) is None or engines[_task_run(one)] is not one]
    for one in users:
        if one.commit_mode is CommitMode.EAGER:
            return one
    return users[-1] if users else None


def _task_run(found: BaseTransaction) -> str | None:
    extra: Any = getattr(found.logger, "extra", None) or {}
    run: str | None = extra.get("task_run_id")
    return run


# ``reset`` is the last step of a transaction's exit, so that raising there leaves nothing undone.
def _strict(found: Any, commit: _Commit) -> Callable[[], None]:
    def reset() -> None:
        type(found).reset(found)
        if commit.failure is not None:
            raise commit.failure

    return reset


def _strict_async(found: Any, commit: _Commit) -> Callable[[], Any]:
    async def reset() -> None:
        await type(found).reset(found)
        if commit.failure is not None:
            raise commit.failure

    return reset
