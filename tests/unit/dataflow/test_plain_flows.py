"""Flows under test as plain functions: no server, parameters as Prefect would give them, and all of it undone."""

from __future__ import annotations

import asyncio
import socket
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import pytest

from conduit import block
from conduit.errors import BlockInputError, ConduitError
from conduit.testing import plain_flows

with warnings.catch_warnings():
    # What Prefect's own modules warn of at their import is no failure of ours.
    warnings.simplefilter("ignore")
    from prefect import flow, get_run_logger, task
    from prefect.exceptions import ParameterTypeError


@dataclass
class Order:
    number: int
    lines: list[str]


@block
def doubled(number: int) -> int:
    return number * 2


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is sent anywhere fails."""

    def refused(*_: Any) -> None:
        raise AssertionError("a socket was connected")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket.socket, "connect_ex", refused)


def test_a_flow_gives_its_value() -> None:
    @flow
    def orders(number: int, *, twice: bool = False) -> list[int]:
        get_run_logger().info("number %d", number)
        return doubled.map([number] * (2 if twice else 1))

    with plain_flows():
        assert orders(3, twice=True) == [6, 6]


def test_an_asynchronous_flow_and_a_flow_within_a_flow_do() -> None:
    @flow
    async def inner(number: int) -> int:
        await asyncio.sleep(0)
        return doubled(number)

    @flow
    def plain(number: int) -> int:
        return number + 1

    @flow
    async def outer(number: int) -> int:
        return plain(await inner(number))

    with plain_flows():
        assert asyncio.run(outer(3)) == 7


def test_parameters_are_validated_and_converted_as_prefect_does() -> None:
    @flow
    def orders(order: Order, discount: float = 0) -> tuple[Order, float]:
        return order, discount

    with plain_flows():
        given: Any = {"number": "3", "lines": ["a"]}
        assert orders(given, discount="0.5") == (Order(3, ["a"]), 0.5)  # type: ignore[arg-type]
        with pytest.raises(ParameterTypeError, match=r"order\.lines"):
            orders({"number": 3})  # type: ignore[arg-type]


def test_a_flow_that_does_not_validate_takes_what_it_is_given() -> None:
    @flow(validate_parameters=False)
    def orders(number: int) -> Any:
        return number

    with plain_flows():
        assert orders("3") == "3"  # type: ignore[arg-type]


def test_methods_and_tasks_are_called() -> None:
    @task
    def tripled(number: int) -> int:
        return number * 3

    @task
    async def halved(number: int) -> int:
        return number // 2

    class Shop:
        @flow
        async def orders(self, number: int) -> int:
            return tripled(await halved(number))

    with plain_flows():
        assert asyncio.run(Shop().orders(4)) == 6
        with pytest.raises(ConduitError, match=r"'tripled' was given to submit\(\)"):
            tripled.submit(1)


def test_errors_pass_as_they_are_and_states_hold_them() -> None:
    @flow
    def orders(number: Any) -> int:
        return doubled(number)

    with plain_flows():
        with pytest.raises(BlockInputError):
            orders("x")
        state: Any = orders("x", return_state=True)
        assert state.is_failed()
        assert isinstance(state.data, BlockInputError)
        assert orders(2, return_state=True).result() == 4


def test_afterwards_all_is_as_before_whichever_ended_last() -> None:
    from prefect.flows import Flow
    from prefect.tasks import Task

    names = ("__call__", "submit", "map", "delay")
    before = [Flow.__dict__["__call__"], *(Task.__dict__[name] for name in names)]
    begun, end = threading.Event(), threading.Event()

    def beside() -> None:
        with plain_flows():
            begun.set()
            end.wait(30)

    thread = threading.Thread(target=beside)
    with plain_flows():
        thread.start()
        assert begun.wait(30)
        with plain_flows():
            pass
        assert Flow.__dict__["__call__"] is not before[0]
    assert Flow.__dict__["__call__"] is not before[0]
    end.set()
    thread.join()
    assert [Flow.__dict__["__call__"], *(Task.__dict__[name] for name in names)] == before


def test_an_error_within_leaves_nothing_behind() -> None:
    from prefect.flows import Flow

    before = Flow.__dict__["__call__"]
    with pytest.raises(KeyError), plain_flows():
        raise KeyError
    assert Flow.__dict__["__call__"] is before
