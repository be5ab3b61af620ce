"""Waiting for a person in Prefect: the flow run is paused with a form, and resumed with its answer."""

from __future__ import annotations

import logging
import time
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import apause_flow_run
from prefect.input import Keyset, RunInput
from prefect.input.actions import acreate_flow_run_input, aread_flow_run_input
from prefect.states import Running
from pydantic import ValidationError

from conduit.dataflow import prefect_api, server
from conduit.dataflow.approval_form import Form, told
from conduit.errors import ApprovalTimeout, ApprovalUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

_POLL_S = 1


async def ask(form: Form[T], message: str, timeout_s: float) -> T:
    """The answer to a form.

    Raises:
        ApprovalTimeout: Nobody answered in time.
        ApprovalUnavailable: The run cannot be paused: it has been cancelled, for one.
        FlowServerUnreachable: The Prefect server does not answer.
    """
    deadline = time.monotonic() + timeout_s
    told_wrong = ""
    try:
        while True:
            text = "\n\n".join(filter(None, (told_wrong, message)))
            answer: Any = await apause_flow_run(
                _asked(form, text), timeout=_whole_s(deadline - time.monotonic()), poll_interval=_POLL_S
            )
            try:
                return form.read(answer)
            except ValidationError as error:
                told_wrong = f"**That was not valid:** {told(error)}"
                logger.warning("The answer to %s was not valid; asking again", form.name)
    except FlowPauseTimeout as error:
        await _go_on()
        raise ApprovalTimeout(
            f"Nobody approved {form.name} within {timeout_s:g} s.",
            hint="Wait longer with timeout_s=..., or catch this and go on without.",
            timeout_s=timeout_s,
        ) from error
    except httpx.TransportError as error:
        raise server.unreachable(prefect_api.api_url(), error) from error
    except RuntimeError as error:
        raise ApprovalUnavailable(f"The flow run cannot wait for approval: {error}") from error


def _whole_s(time_s: float) -> int:
    # Whole seconds are all that it takes, and to wait for none of them is no time limit.
    return max(1, round(time_s))


def _asked(form: Form[Any], message: str) -> type[RunInput]:
    """The form as Prefect wants it: it keeps the type's own schema, and hands back what was filled in as it is."""

    class Asked(RunInput):
        @classmethod
        async def asave(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> None:
            # The schema comes last: who sees a form then sees all of it.
            if message:
                await acreate_flow_run_input(
                    key=keyset["description"], value=message, flow_run_id=flow_run_id
                )
            await acreate_flow_run_input(key=keyset["schema"], value=form.schema, flow_run_id=flow_run_id)

        @classmethod
        async def aload(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> Any:
            return await aread_flow_run_input(keyset["response"], flow_run_id=flow_run_id)

    return Asked


async def _go_on() -> None:
    """Has a run whose pause is over run on: in a paused one the flow could start no further task."""
    flow = FlowRunContext.get()
    assert flow is not None
    assert flow.flow_run is not None
    async with get_client() as client:
        # Forced, for the server would fail a run whose pause has passed its limit.
        await client.set_flow_run_state(flow.flow_run.id, Running(), force=True)
