"""Options, retries and time limits outside a flow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from conduit import errors
from conduit.dataflow import block
from conduit.dataflow.limits import worth_a_retry


class Flaky:
    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.calls = 0
        self.failures = failures
        self.error = error or OSError("flaky")

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return self.calls


def test_with_options_leaves_the_block_as_it_was() -> None:
    @block
    def one() -> int:
        return 1

    other = one.with_options(name="other", tags=["a", "a", "b"], retries=2)
    assert (one.options.name, one.options.retries, one.options.tags) == ("one", 0, ())
    assert (other.options.name, other.options.retries, other.options.tags) == ("other", 2, ("a", "b"))
    assert other.with_options(retries=3).options.name == "other"


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"retries": 1.5},
        {"retry_delay_s": -1},
        {"retry_on": 3},
        {"retry_on": []},
        {"retry_on": "ValueError"},
        {"retry_on": int},
        {"retry_on": [ValueError, "KeyError"]},
        {"retry_delay_s": []},
        {"retry_delay_s": [1, "2"]},
        {"timeout_s": 0},
        {"timeout_s": "3"},
        {"name": ""},
        {"tags": "one"},
        {"tags": [1]},
        {"retry": 3},
    ],
    ids=str,
)
def test_options_without_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(errors.BlockDefinitionError) as refused:
        block(**options)(lambda: 1)
    assert refused.value.hint


@pytest.mark.parametrize("options", [{"retries": 1}, {"timeout_s": 1.0}], ids=str)
def test_a_generator_takes_neither_retries_nor_a_time_limit(options: dict[str, Any]) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(errors.BlockDefinitionError, match="generator"):
        block(**options)(numbers)


def test_a_failed_call_is_tried_again_as_often_as_said() -> None:
    flaky = Flaky(2)

    @block(retries=2)
    def run() -> int:
        return flaky()

    assert run() == 3
    flaky.calls, flaky.failures = 0, 3
    with pytest.raises(OSError, match="flaky"):
        run()
    assert flaky.calls == 3


def test_an_async_call_is_tried_again() -> None:
    flaky = Flaky(1)

    @block(retries=1)
    async def run() -> int:
        return flaky()

    assert asyncio.run(run()) == 2


def test_the_delay_before_each_retry_is_the_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("conduit.leash.sleep", slept.append)
    flaky = Flaky(3)

    @block(retries=3, retry_delay_s=[0.5, 2])
    def run() -> int:
        return flaky()

    assert run() == 4
    assert slept == [0.5, 2, 2]


def test_wrong_arguments_are_not_tried_again() -> None:
    calls = []

    @block(retries=5)
    def run(number: int) -> int:
        calls.append(number)
        return number

    with pytest.raises(errors.BlockInputError):
        run("x")
    assert calls == []


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (errors.BlockInputError("x"), False),
        (errors.NotAuthorized("x"), False),
        (errors.PromptTooLong("x"), False),
        (errors.ModelNotFound("x"), False),
        (errors.Overloaded("x"), True),
        (errors.ReplicaLost("x"), True),
        (errors.OutputInvalid("x"), True),
        (errors.OutputTruncated("x"), False),
        (errors.OutputRefused("x"), False),
        (errors.ArgumentInvalid("x"), False),
        (errors.BlockOutputError("x"), False),
        (errors.HttpStatusError("x", status=404), False),
        (errors.HttpStatusError("x", status=429), True),
        (errors.HttpStatusError("x", status=503), True),
        (errors.HttpTimeout("x"), True),
        (errors.CassetteMiss("x"), False),
        (errors.ApprovalTimeout("x"), False),
        (errors.BlockTimeout("x"), True),
        (OSError("x"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_errors_that_could_end_otherwise_are_worth_a_retry(error: Exception, again: bool) -> None:
    assert worth_a_retry(error) is again


def test_a_call_past_its_time_limit_raises() -> None:
    release = threading.Event()

    @block(timeout_s=0.05)
    def stuck() -> None:
        release.wait(30)

    with pytest.raises(errors.BlockTimeout) as late:
        stuck()
    release.set()
    assert (late.value.timeout_s, late.value.block) == (0.05, "stuck")
    assert late.value.hint


def test_an_async_call_past_its_time_limit_is_cancelled() -> None:
    cancelled = []

    @block(timeout_s=0.05)
    async def stuck() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(errors.BlockTimeout):
        asyncio.run(stuck())
    assert cancelled == [True]


def test_a_timeout_error_of_the_function_is_not_the_blocks_limit() -> None:
    @block(timeout_s=30)
    def fails() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        fails()


def test_within_its_time_limit_a_call_gives_its_value() -> None:
    @block(timeout_s=30)
    def quick(number: int) -> int:
        return number

    assert quick(3) == 3
    with pytest.raises(errors.BlockInputError):
        quick("x")


@pytest.mark.parametrize(
    "retry_on",
    [
        errors.HttpTimeout,
        (KeyError, errors.HttpTimeout),
        [errors.HttpTimeout],
        lambda error: isinstance(error, errors.HttpTimeout),
    ],
)
def test_the_errors_that_are_worth_a_retry_can_be_chosen(retry_on: Any) -> None:
    met: list[Exception] = []

    @block(retries=3, retry_on=retry_on)
    def fetch(number: int) -> int:
        met.append(error := [errors.HttpTimeout("late"), ConnectionError("lost")][len(met) % 2])
        raise error

    with pytest.raises(ConnectionError):
        fetch(1)
    assert [type(error) for error in met] == [errors.HttpTimeout, ConnectionError]
    met.clear()
    results = fetch.map([1, 2], errors="collect")
    assert [type(failure.error) for failure in results] == [ConnectionError] * 2  # type: ignore[union-attr]
    assert len(met) == 4


def test_a_choice_may_include_what_is_not_retried_otherwise() -> None:
    calls: list[int] = []

    @block(retries=2, retry_on=errors.OutputTruncated)
    def ask() -> int:
        calls.append(1)
        raise errors.OutputTruncated("cut")

    with pytest.raises(errors.OutputTruncated):
        ask()
    assert len(calls) == 3
    calls.clear()
    with pytest.raises(errors.OutputTruncated):
        ask.with_options(retry_on=None)()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("given", "kind", "attempts"),
    [("lost", errors.HttpError, 3), ("wrong", errors.BlockOutputError, 1), (3, errors.BlockInputError, 0)],
)
def test_values_that_do_not_fit_are_told_from_connections_that_failed(
    given: Any, kind: type[Exception], attempts: int
) -> None:
    calls: list[int] = []

    @block(retries=2)
    def parse(text: str) -> int:
        calls.append(1)
        if text == "lost":
            raise errors.HttpError("connection lost")
        return text  # type: ignore[return-value]

    with pytest.raises(kind):
        parse(given)
    assert len(calls) == attempts
    calls.clear()
    (failure,) = parse.map([given], errors="collect")
    assert isinstance(failure.error, kind)  # type: ignore[union-attr]
    assert len(calls) == attempts
