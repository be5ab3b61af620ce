"""What RunPod's answers mean: each status, its text, and whatever is no answer at all."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from conduit.compute import OfferingQuery
from conduit.compute.runpod.answers import SOLD_OUT
from conduit.errors import (
    AmbiguousAnswer,
    BalanceTooLow,
    NoCapacity,
    OfferingRefused,
    ProviderBusy,
    ProviderRejected,
    ProviderUnauthorized,
)
from support.runpod_account import KEY, problem

pytestmark = pytest.mark.anyio

GONE = "There are no longer any instances available with the requested specifications. Please refresh."
HTML = httpx.Response(200, headers={"Content-Type": "text/html"}, content="<html>Just a moment</html>")


@pytest.mark.parametrize(
    ("status", "detail", "expected"),
    [
        (400, GONE, NoCapacity),
        *((400, f"Sorry: {text.title()}!", NoCapacity) for text in SOLD_OUT),
        (400, "exactly one of gpu or cpu must be set", OfferingRefused),
        (401, "missing bearer token", ProviderUnauthorized),
        (402, "insufficient balance", BalanceTooLow),
        (403, "access denied", OfferingRefused),
        (404, "template not found", ProviderRejected),
        (409, "the pod is being changed", ProviderBusy),
        (415, "unsupported media type", ProviderRejected),
        (422, "Request validation failed.", ProviderRejected),
        (429, "rate limit exceeded for the minute window", ProviderBusy),
        (408, "request timeout", AmbiguousAnswer),
        (500, "internal error", AmbiguousAnswer),
        (502, "bad gateway", AmbiguousAnswer),
        (503, GONE, AmbiguousAnswer),
        (504, "gateway timeout", AmbiguousAnswer),
        (301, "moved", AmbiguousAnswer),
    ],
)
async def test_each_status_of_a_creation_has_one_meaning(
    provider, account, make_spec, status, detail, expected
):
    account.answer("POST /v2/pods", problem(status, detail))
    with pytest.raises(expected) as caught:
        await provider.create(make_spec())
    assert type(caught.value) is expected
    assert caught.value.status == status
    assert caught.value.provider == "runpod"
    assert str(status) in caught.value.message
    assert detail in caught.value.message
    assert "POST /v2/pods" in caught.value.message
    assert len(account.asked) == 1, "a provider tries once"
    assert type(pickle.loads(pickle.dumps(caught.value))) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ProviderRejected),
        (401, ProviderUnauthorized),
        (402, BalanceTooLow),
        (403, ProviderUnauthorized),
        (404, ProviderRejected),
        (429, ProviderBusy),
        (500, AmbiguousAnswer),
    ],
)
async def test_each_status_of_a_list_has_one_meaning(provider, account, owner, status, expected):
    account.answer("GET /v2/pods", problem(status, "no"))
    with pytest.raises(expected) as caught:
        await provider.list_owned(owner.id)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(403, ProviderUnauthorized), (409, ProviderBusy), (429, ProviderBusy), (500, AmbiguousAnswer)],
)
async def test_a_deletion_that_may_not_have_happened_is_said(provider, account, status, expected):
    account.answer("DELETE /v2/pods", problem(status, "no"))
    with pytest.raises(expected):
        await provider.destroy("n1", {"kind": "pod", "id": "p1"})


@pytest.mark.parametrize(
    "answer",
    [
        HTML,
        httpx.Response(201, headers={"Content-Type": "text/html"}, content="<html>"),
        httpx.Response(201, json=[1]),
        httpx.Response(201, json={}),
        httpx.Response(201, json={"id": 7, "name": "x"}),
        httpx.Response(201, json={"id": "p1", "name": "somebody-elses"}),
        httpx.Response(201, content=b"\xff\xfe{"),
        httpx.Response(201, content=b"[" * 100_000),
        httpx.Response(204),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("peer closed connection"),
        httpx.ReadError(""),
        OSError("no route"),
    ],
)
async def test_a_creation_without_a_clear_answer_may_have_happened(provider, account, make_spec, answer):
    account.answer("POST /v2/pods", answer)
    with pytest.raises(AmbiguousAnswer) as caught:
        await provider.create(make_spec())
    assert "conduit gc" in str(caught.value.hint)


@pytest.mark.parametrize(
    "answer",
    [
        HTML,
        httpx.Response(200, json={}),
        httpx.Response(200, json={"pods": {}}),
        httpx.Response(200, json={"pods": ["x"]}),
        httpx.Response(200, json={"pods": [{"name": "n"}]}),
        httpx.Response(200, json={"pods": [], "pagination": {"hasNextPage": True, "nextCursor": "c"}}),
        httpx.ReadTimeout("slow"),
    ],
)
async def test_a_list_that_cannot_be_read_is_never_an_empty_one(provider, account, owner, answer):
    account.answer("GET /v2/pods", answer)
    with pytest.raises(AmbiguousAnswer) as caught:
        await provider.list_owned(owner.id)
    assert caught.value.hint


async def test_only_the_api_itself_can_say_that_a_pod_is_not_there(provider, account):
    handle = {"kind": "pod", "id": "p1"}
    assert await provider.get("n1", handle) is None
    account.answer("GET /v2/pods/p1", httpx.Response(404, content="404 page not found"))
    with pytest.raises(ProviderRejected, match="404") as caught:
        await provider.get("n1", handle)
    assert "CONDUIT_RUNPOD_BASE_URL" in str(caught.value.hint)
    account.answer("DELETE /v2/pods/p1", httpx.Response(404, content="404 page not found"))
    with pytest.raises(ProviderRejected, match="404"):
        await provider.destroy("n1", handle)


async def test_an_answer_without_end_is_cut_off(provider, account, owner, monkeypatch):
    monkeypatch.setattr("conduit.compute.runpod.api.MAX_BODY_BYTES", 1000)
    account.answer("GET /v2/pods", httpx.Response(200, content=b" " * 5000))
    with pytest.raises(AmbiguousAnswer, match="longer than 1000 bytes"):
        await provider.list_owned(owner.id)


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [
        ("12", 12, 12),
        ("0", 0, 0),
        ("-3", 0, 0),
        ("1e9", 3600, 3600),
    ],
)
async def test_retry_after_is_bounded_seconds(provider, account, make_spec, given, least, most):
    account.answer("POST /v2/pods", problem(429, "slow down", **{"Retry-After": given}))
    with pytest.raises(ProviderBusy) as caught:
        await provider.create(make_spec())
    assert least <= caught.value.retry_after_s <= most


async def test_retry_after_may_be_a_date(provider, account, make_spec):
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=1800), usegmt=True)
    account.answer("POST /v2/pods", problem(429, "slow down", **{"Retry-After": moment}))
    with pytest.raises(ProviderBusy) as caught:
        await provider.create(make_spec())
    assert 1500 < caught.value.retry_after_s <= 1800


@pytest.mark.parametrize("given", ["", "soon", "nan", "inf"])
async def test_a_retry_after_that_says_nothing_is_none(provider, account, make_spec, given):
    account.answer("POST /v2/pods", problem(429, "slow down", **{"Retry-After": given}))
    with pytest.raises(ProviderBusy) as caught:
        await provider.create(make_spec())
    assert caught.value.retry_after_s is None


async def test_validation_faults_are_in_the_message(provider, account, make_spec):
    document = {"detail": "Request validation failed.", "errors": ["$.gpu.count: must be at least 1"]}
    account.answer("POST /v2/pods", httpx.Response(422, json=document))
    with pytest.raises(ProviderRejected, match=r"\$\.gpu\.count: must be at least 1"):
        await provider.create(make_spec())


async def test_no_secret_that_an_answer_repeats_is_shown(open_provider, account, make_spec, owner, caplog):
    caplog.set_level("DEBUG")
    provider = open_provider(hf_token="hf_SECRET")
    spec = make_spec()
    token = owner.token(spec.node_id).get_secret_value()
    account.answer("POST /v2/pods", problem(422, f"{KEY} {token} hf_SECRET are wrong"))
    with pytest.raises(ProviderRejected, match=r"\*\*\* \*\*\* \*\*\* are wrong") as caught:
        await provider.create(spec)
    shown = repr(caught.value) + str(caught.value.as_dict()) + repr(provider) + caplog.text
    for secret in (KEY, token, "hf_SECRET"):
        assert secret not in shown


async def test_without_a_key_nothing_is_sent(open_provider, account, make_spec, owner):
    provider = open_provider(runpod_api_key=None)
    for call in (
        provider.create(make_spec()),
        provider.list_owned(owner.id),
        provider.get("n1"),
        provider.destroy("n1"),
        provider.offerings(OfferingQuery()),
    ):
        with pytest.raises(ProviderUnauthorized, match="needs a key") as caught:
            await call
        assert "CONDUIT_RUNPOD_API_KEY or RUNPOD_API_KEY" in str(caught.value.hint)
    assert account.asked == []


async def test_a_wrong_key_says_where_a_right_one_comes_from(open_provider, owner):
    with pytest.raises(ProviderUnauthorized, match="401") as caught:
        await open_provider(runpod_api_key="rpa_wrong").list_owned(owner.id)
    assert "console.runpod.io" in str(caught.value.hint)
    assert "rpa_wrong" not in str(caught.value)
