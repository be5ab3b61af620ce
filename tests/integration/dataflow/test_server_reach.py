"""A flow whose Prefect server is not in reach: a typed error with a hint, within seconds."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conduit.dataflow import block, require_server, server
from conduit.errors import FlowServerUnreachable

ran: list[int] = []


@block
def effect(number: int) -> int:
    ran.append(number)
    return number


@block
async def aeffect(number: int) -> int:
    ran.append(number)
    return number


@pytest.fixture
def away(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A context in which the configured server's port has nobody listening."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setattr(server, "_GRACE_S", 0.5)
    monkeypatch.setattr(server, "_answered", {})
    ran.clear()
    with socket.socket() as held:
        # Bound and not listening: connections are refused, and no other process can take the port.
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/api"

        @contextmanager
        def gone() -> Iterator[str]:
            with temporary_settings({PREFECT_API_URL: url}):
                yield url

        yield gone


def test_a_configured_server_that_does_not_answer_is_reported(away: Any) -> None:
    with away() as url, pytest.raises(FlowServerUnreachable, match=url) as missing:
        require_server()
    assert missing.value.api_url == url
    assert "prefect server start" in missing.value.hint


def test_no_configured_server_is_reported_and_none_is_started() -> None:
    code = (
        "from conduit.dataflow import require_server\n"
        "from conduit.errors import FlowServerUnreachable\n"
        "try: require_server()\n"
        "except FlowServerUnreachable as error: print('hint:', error.hint)\n"
    )
    environment = {"PATH": "", "HOME": "/nonexistent", "PREFECT_HOME": "/nonexistent"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=50, check=True
    )
    assert "hint: Start one with `prefect server start`" in run.stdout


def test_a_block_of_a_flow_whose_server_went_away_is_not_run(away: Any) -> None:
    from prefect import flow

    errors = []

    @flow
    def inbox() -> None:
        effect(1)
        with away():
            for call in (lambda: effect(2), lambda: effect.submit(2), lambda: effect.map([2])):
                with pytest.raises(FlowServerUnreachable) as missing:
                    call()
                errors.append(missing.value)

    inbox()
    assert ran == [1]
    assert [error.block for error in errors] == ["effect"] * 3
    assert all(error.hint for error in errors)


def test_an_async_block_of_such_a_flow_is_not_run_either(away: Any) -> None:
    from prefect import flow

    @flow
    async def inbox() -> None:
        with away():
            with pytest.raises(FlowServerUnreachable):
                await aeffect(2)
            with pytest.raises(FlowServerUnreachable):
                await aeffect.map([2])

    asyncio.run(inbox())
    assert ran == []
