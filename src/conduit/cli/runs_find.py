"""From what a user typed to the flow run or ledger that is meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from conduit.errors import RecordNotFound
from conduit.store import FlowRun, Store

_LOOKED_THROUGH = 500
_NAMED = 3


def flow_run(store: Store, text: str) -> FlowRun:
    """The run of that id, of an id that begins so, or of that name.

    Raises:
        RecordNotFound: There is none, or several begin so.
    """
    found = store.flow_runs_named(text) if text else []
    exact = [run for run in found if run.id == text] or found
    if len(exact) == 1:
        return exact[0]
    if exact:
        raise RecordNotFound(
            f"{text!r} may mean {len(exact)} runs: {', '.join(run.id for run in exact[:_NAMED])}"
            f"{', …' if len(exact) > _NAMED else ''}.",
            hint="Give more of the id.",
            record_id=text,
            nearest=tuple(run.id for run in exact),
        )
    known = store.flow_runs(limit=_LOOKED_THROUGH)
    raise not_found("run", text, [name for run in known for name in (run.name, run.id)])


def newest_run(store: Store) -> FlowRun:
    """The run that began last.

    Raises:
        RecordNotFound: There is none.
    """
    for run in store.flow_runs(limit=1):
        return run
    raise RecordNotFound(
        "No flow run of this project has called a block, as far as the records know.",
        hint="Is CONDUIT_PROJECT, or the folder, the one where the run was made?",
    )


def ledger(store: Store, name: str) -> None:
    """Checks that there is a ledger of that name.

    Raises:
        RecordNotFound: There is none.
    """
    known = [summary.name for summary in store.ledgers()]
    if name not in known:
        raise not_found("ledger", name, known)


def not_found(kind: str, text: str, known: Sequence[str]) -> RecordNotFound:
    """An error that names what may have been meant."""
    nearest = tuple(difflib.get_close_matches(text, known, n=_NAMED))
    shown = ", ".join(nearest or tuple(known[:_NAMED]))
    command = "conduit runs" if kind == "run" else "conduit runs ledgers"
    return RecordNotFound(
        f"This project has no {kind} {text!r}.",
        hint=f"{'The nearest' if nearest else 'There is'}: {shown}. `{command}` lists them."
        if shown
        else f"It has none at all; is CONDUIT_PROJECT, or the folder, the one where the {kind} was made?",
        record_id=text,
        nearest=nearest,
    )
