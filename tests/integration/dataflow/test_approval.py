"""Approval in real flow runs: resumed through Prefect's API, with right and with wrong answers, and not at all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import httpx
import pydantic

import conduit
from conduit import block
from conduit.errors import ApprovalTimeout
from support.flow_runs import Runner

DEADLINE_S = 60.0


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("is odd")
    return number


@dataclass
class Payment:
    amount: Annotated[int, pydantic.Field(ge=1), pydantic.AfterValidator(_even)]
    reason: Literal["refund", "bonus"] = "refund"


@block
def paid(payment: Payment) -> str:
    return f"{payment.amount} for {payment.reason}"


class Person:
    """Somebody at the API who answers a paused run."""

    def __init__(self, api: str, run_name: str) -> None:
        self._client = httpx.Client(base_url=api, timeout=20)
        self._name = run_name

    def waited_for(self) -> dict[str, Any]:
        """The run, once it is paused with a form."""
        deadline = time.monotonic() + DEADLINE_S
        body = {"flow_runs": {"name": {"any_": [self._name]}}}
        while time.monotonic() < deadline:
            runs = self._client.post("/flow_runs/filter", json=body).json()
            # The form is there a moment after the state.
            if runs and runs[0]["state_type"] == "PAUSED" and self.form(runs[0]) is not None:
                run: dict[str, Any] = runs[0]
                return run
            time.sleep(0.1)
        raise AssertionError(f"{self._name} did not pause in {DEADLINE_S} s")

    def form(self, run: dict[str, Any], part: str = "schema") -> Any:
        key = run["state"]["state_details"]["run_input_keyset"][part]
        response = self._client.get(f"/flow_runs/{run['id']}/input/{key}")
        return response.json() if response.is_success else None

    def answers(self, run: dict[str, Any], **answer: Any) -> dict[str, Any]:
        response = self._client.post(f"/flow_runs/{run['id']}/resume", json={"run_input": answer})
        response.raise_for_status()
        told: dict[str, Any] = response.json()
        return told


def _in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Starts the work; gives what waits for its value, or raises its error."""
    box: list[Any] = []

    def run() -> None:
        try:
            box.append(work())
        except BaseException as error:
            box.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result() -> Any:
        thread.join(DEADLINE_S)
        assert box, "the other side did not end"
        if isinstance(box[0], BaseException):
            raise box[0]
        return box[0]

    return result


def test_a_run_waits_for_a_typed_answer_and_wrong_ones_are_refused(prefect_server: str) -> None:
    from prefect import flow

    @flow(flow_run_name="approval-typed")
    async def pay() -> str:
        payment = await conduit.approve(Payment, message="How **much**?", timeout_s=DEADLINE_S)
        return paid(payment)

    def person() -> list[Any]:
        someone = Person(prefect_server, "approval-typed")
        run = someone.waited_for()
        shown = someone.form(run)
        notes = [shown["title"], list(shown["properties"]), someone.form(run, "description")]
        # What the schema tells the server refuses at once, and the run waits on.
        for wrong in ({}, {"amount": 0}, {"amount": 2, "reason": "fun"}, {"amount": 2, "more": 1}):
            notes.append(someone.answers(run, **wrong)["status"])
        # What only the type can tell is asked for again.
        notes.append(someone.answers(run, amount=3)["status"])
        seen = run["state"]["id"]
        while (run := someone.waited_for())["state"]["id"] == seen:
            time.sleep(0.1)
        notes.append(someone.form(run, "description"))
        notes.append(someone.answers(run, amount=4, reason="bonus")["status"])
        return notes

    answered = _in_thread(person)
    assert asyncio.run(pay()) == "4 for bonus"
    assert answered() == [
        "Payment",
        ["amount", "reason"],
        "How **much**?",
        *["REJECT"] * 4,
        "ACCEPT",
        "**That was not valid:** amount: Value error, is odd\n\nHow **much**?",
        "ACCEPT",
    ]


def test_a_synchronous_flow_asks_for_a_plain_value(prefect_server: str) -> None:
    from prefect import flow

    @flow(flow_run_name="approval-sync")
    def pay() -> Any:
        return conduit.approve_sync(bool, timeout_s=DEADLINE_S)

    def person() -> str:
        someone = Person(prefect_server, "approval-sync")
        run = someone.waited_for()
        assert someone.answers(run, value="perhaps")["status"] == "REJECT"
        told: str = someone.answers(run, value=True)["status"]
        return told

    answered = _in_thread(person)
    assert pay() is True
    assert answered() == "ACCEPT"


def test_a_run_that_nobody_approves_goes_on_with_an_error_that_it_can_take(run: Runner) -> None:
    async def pay() -> str:
        try:
            payment = await conduit.approve(Payment, timeout_s=1)
        except ApprovalTimeout as error:
            payment = Payment(2 * round(error.timeout_s or 0))
        return paid(payment)

    value, known = run(pay)
    assert value == "2 for refund"
    assert (known.state, [name.rpartition("-")[0] for name in known.names]) == ("COMPLETED", ["paid"])


def test_a_run_that_nobody_approves_fails_by_default(run: Runner) -> None:
    async def pay() -> Payment:
        return await conduit.approve(Payment, timeout_s=1)

    error, known = run(pay)
    assert isinstance(error, ApprovalTimeout)
    assert known.state == "FAILED"
