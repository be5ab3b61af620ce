"""Tokens and how often each may ask."""

import contextlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gpu_server.access.auth import BearerAuth
from gpu_server.access.rate_limit import RateLimit
from gpu_server.errors import ApiError
from gpu_server.settings import SettingsError, token_from_environment


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_each_of_several_tokens_opens_and_has_its_number(number: int, scheme: str) -> None:
    door = BearerAuth(SecretStr("first-token,second-token,third-token"))
    token = ("first", "second", "third")[number - 1]
    assert door.check("/v1/models", f"{scheme} {token}-token".encode()) == number


@pytest.mark.parametrize(
    "shown",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer first-toke",
        b"Bearer first-tokenn",
        b"Bearer first-token,second-token",
        b"Bearer ,",
        b"Basic first-token",
        b"first-token",
        b"Bearer \xff\xfe",
    ],
)
@pytest.mark.parametrize("path", ["/ready", "/metrics", "/openapi.json", "/v1/models", "/nowhere", "/live/"])
def test_nothing_else_opens_anything_but_live(shown: bytes | None, path: str) -> None:
    door = BearerAuth(SecretStr("first-token,second-token"))
    with pytest.raises(ApiError) as refused:
        door.check(path, shown)
    assert refused.value.status == 401
    assert door.check("/live", shown) == 0


@given(st.binary(max_size=40))
def test_no_bytes_break_the_check(shown: bytes) -> None:
    with pytest.raises(ApiError):
        BearerAuth(SecretStr("a-good-token")).check("/ready", b"Bearer " + shown)


@pytest.mark.parametrize("shown", [b"first-token", b"third-token", b"wrong", b""])
def test_every_token_is_compared_whichever_is_shown(monkeypatch, shown: bytes) -> None:
    compared: list[int] = []
    compare = hmac.compare_digest

    def counting(a: bytes, b: bytes) -> bool:
        compared.append(len(a) - len(b))
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    door = BearerAuth(SecretStr("first-token,second-token,third-token"))
    with contextlib.suppress(ApiError):
        door.check("/ready", b"Bearer " + shown)
    assert compared == [0, 0, 0]


@pytest.mark.parametrize(
    "given_", ["long-enough,short", "a-good-token,", ",a-good-token", "good-token,a good one"]
)
def test_each_of_several_tokens_must_be_usable(given_: str) -> None:
    with pytest.raises(SettingsError, match="GPU_SERVER_TOKEN is no usable token") as refused:
        token_from_environment({"GPU_SERVER_TOKEN": given_})
    assert "good" not in str(refused.value)


def test_no_token_stands_twice() -> None:
    with pytest.raises(SettingsError, match="twice"):
        token_from_environment({"GPU_SERVER_TOKEN": "a-good-token,b-good-token,a-good-token"})


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def take(limit: RateLimit, token: int = 1) -> int:
    """0, or the seconds that the refusal tells to wait."""
    try:
        limit.take(token)
    except ApiError as error:
        refusal = error
    else:
        return 0
    assert (refusal.status, refusal.code) == (429, "rate_limited")
    return int(refusal.headers["retry-after"])


def test_a_burst_passes_and_then_the_rate() -> None:
    clock = Clock()
    limit = RateLimit(2.0, 3, clock=clock)
    assert [take(limit) for _ in range(4)] == [0, 0, 0, 1]
    clock.now += 0.5
    assert [take(limit), take(limit)] == [0, 1]
    clock.now += 1000
    assert [take(limit) for _ in range(4)] == [0, 0, 0, 1]
    assert limit.refused == {1: 3}


def test_one_token_does_not_use_up_anothers_permits() -> None:
    limit = RateLimit(1.0, 1, clock=Clock())
    assert [take(limit, 1), take(limit, 1), take(limit, 2)] == [0, 1, 0]


def test_no_rate_is_no_limit() -> None:
    limit = RateLimit(None, 1, clock=Clock())
    assert not any(take(limit) for _ in range(1000))


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=80),
)
def test_never_more_than_burst_and_rate_and_the_time_told_is_honest(rate, burst, pauses) -> None:
    clock = Clock()
    limit = RateLimit(rate, burst, clock=clock)
    began, passed = clock.now, 0
    for pause_s in pauses:
        clock.now += pause_s
        wait_s = take(limit)
        passed += wait_s == 0
        assert passed <= burst + (clock.now - began) * rate + 1e-6
        if wait_s:
            clock.now += wait_s
            assert take(limit) == 0
            passed += 1
