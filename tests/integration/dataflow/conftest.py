"""Functions run as flows against the real Prefect server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from support.flow_runs import Run, Runner, known


@pytest.fixture
def run(prefect_server: str) -> Runner:
    """Runs a function as a flow and gives its result or error, and what the server knows of the run."""
    from prefect import flow
    from prefect.states import get_state_exception

    def outcome(function: Callable[..., Any]) -> tuple[Any, Run]:
        made = flow(function)
        if asyncio.iscoroutinefunction(function):
            state = asyncio.run(made(return_state=True))
        else:
            state = made(return_state=True)
        result = state.data if state.is_completed() else asyncio.run(_exception(state))
        value = getattr(result, "result", result)
        return value, known(prefect_server, str(state.state_details.flow_run_id))

    async def _exception(state: Any) -> BaseException:
        return await get_state_exception(state)

    return outcome
