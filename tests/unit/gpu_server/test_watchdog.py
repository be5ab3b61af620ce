"""The limits on idleness and on life, on a clock that the test moves."""

import asyncio

from gpu_server.access.watchdog import Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(idle: float | None = None, life: float | None = None) -> tuple[Watchdog, Clock]:
    clock = Clock()
    return Watchdog(idle_timeout_s=idle, max_lifetime_s=life, clock=clock), clock


def test_without_limits_nothing_expires() -> None:
    watchdog, clock = make()
    clock.now += 1e9
    assert watchdog.expired() is None
    assert watchdog.next_check_s() is None


def test_idleness_is_counted_from_the_end_of_the_last_request() -> None:
    watchdog, clock = make(idle=10)
    clock.now += 9
    assert watchdog.expired() is None
    with watchdog.busy():
        clock.now += 50
        assert watchdog.expired() is None
    clock.now += 9.9
    assert watchdog.expired() is None
    clock.now += 0.1
    assert "idle_timeout_s=10" in (watchdog.expired() or "")


def test_two_requests_that_overlap_are_both_waited_for() -> None:
    watchdog, clock = make(idle=10)
    with watchdog.busy():
        with watchdog.busy():
            pass
        clock.now += 60
        assert watchdog.expired() is None
    assert watchdog.expired() is None


def test_the_lifetime_ends_even_a_busy_server() -> None:
    watchdog, clock = make(idle=10, life=30)
    with watchdog.busy():
        clock.now += 30
        assert "max_lifetime_s=30" in (watchdog.expired() or "")


def test_the_next_check_is_no_later_than_the_first_limit() -> None:
    watchdog, clock = make(idle=10, life=12)
    assert watchdog.next_check_s() == 10
    with watchdog.busy():
        clock.now += 5
    assert watchdog.next_check_s() == 7


def test_wait_returns_the_reason() -> None:
    watchdog = Watchdog(idle_timeout_s=0.01, max_lifetime_s=None)
    assert "idle" in asyncio.run(watchdog.wait())


def test_a_moment_of_the_calendar_ends_even_a_busy_server() -> None:
    clock, calendar = Clock(), Clock()
    watchdog = Watchdog(
        idle_timeout_s=None, max_lifetime_s=None, expires_at=130, clock=clock, calendar=calendar
    )
    assert watchdog.next_check_s() == 30
    with watchdog.busy():
        calendar.now += 30
        assert "expires_at=130" in (watchdog.expired() or "")


def test_a_calendar_that_is_set_meanwhile_is_noticed() -> None:
    clock, calendar = Clock(), Clock()
    watchdog = Watchdog(
        idle_timeout_s=None, max_lifetime_s=None, expires_at=10_000, clock=clock, calendar=calendar
    )
    assert (watchdog.next_check_s() or 0) <= 60
