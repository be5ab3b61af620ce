"""The RunPod provider against the simulator: every promise of the contract, and each fault with its own error."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest

from conduit.compute import (
    NodeSpec,
    NodeStatus,
    NodeView,
    Offering,
    OfferingQuery,
    Owner,
    load_owner,
    new_node_id,
)
from conduit.compute.contract import CHECKS, NotApplicable, Party, Subject
from conduit.compute.runpod import RunPodProvider
from conduit.errors import (
    AmbiguousAnswer,
    BalanceTooLow,
    ConduitError,
    NoCapacity,
    OfferingRefused,
    ProviderBusy,
    ProviderUnauthorized,
)
from conduit.settings import Settings
from conduit.sim.runpod import Simulator
from support import stand_in_server

pytestmark = pytest.mark.anyio

SERVER = (sys.executable, str(Path(stand_in_server.__file__).absolute()))
TIMEOUT_S = 2.0
DEADLINE_S = 30.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Simulator]:
    with Simulator(server=SERVER, provision_s=0.05, start_s=0.05, foreign=2, max_pods=20) as simulator:
        yield simulator


@pytest.fixture
def simulator(cloud: Simulator) -> Iterator[Simulator]:
    yield cloud
    cloud.clear()


def settings(simulator: Simulator, folder: Path) -> Settings:
    return Settings(
        data_dir=folder,
        runpod_api_key=simulator.api_key,
        runpod_base_url=simulator.base_url,
        runpod_proxy_url=simulator.proxy_url,
        runpod_serverless_url=simulator.environment()["CONDUIT_RUNPOD_SERVERLESS_URL"],
        runpod_timeout_s=TIMEOUT_S,
    )


def opened(simulator: Simulator, folder: Path) -> Party:
    given = settings(simulator, folder)
    owner = load_owner(given)
    return Party(RunPodProvider.from_settings(given, owner), owner)


async def cheapest(party: Party) -> Offering:
    found = await party.provider.offerings(OfferingQuery())
    return min(found, key=lambda offering: offering.usd_per_hour)


def spec_on(offering: Offering) -> Callable[[Owner], NodeSpec]:
    def spec(owner: Owner) -> NodeSpec:
        config = {"models": [{"model_id": "m"}]}
        return NodeSpec(new_node_id(), owner.id, "key", "project", config, offering=offering)

    return spec


@asynccontextmanager
async def subject(simulator: Simulator, folder: Path) -> AsyncIterator[Subject]:
    mine, theirs = (opened(simulator, folder / name) for name in ("mine", "theirs"))

    async def crash(view: NodeView) -> None:
        simulator.kill(view.handle["id"])

    @contextmanager
    def hang() -> Iterator[None]:
        os.kill(simulator.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(simulator.pid, signal.SIGCONT)

    yield Subject(
        mine,
        theirs,
        spec_on(await cheapest(mine)),
        crash=crash,
        reopen=lambda: opened(simulator, folder / "mine").provider,
        hang=hang,
        bound_s=4 * TIMEOUT_S,
        knows_doubles=False,
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_every_promise(
    check: Callable[[Subject], Awaitable[None]], simulator: Simulator, tmp_path: Path
):
    async with subject(simulator, tmp_path) as under_test:
        try:
            await check(under_test)
        except NotApplicable as reason:
            pytest.skip(str(reason))
    state = simulator.state()
    assert (state["living"], len(state["foreign"])) == ([], 2)


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [
        ("create=no-capacity:1", NoCapacity, 0),
        ("create=400:1", OfferingRefused, 0),
        ("create=401:1", ProviderUnauthorized, 0),
        ("create=402:1", BalanceTooLow, 0),
        ("create=403:1", OfferingRefused, 0),
        ("create=429:1,retry_after=7", ProviderBusy, 0),
        ("create=500:1", AmbiguousAnswer, 0),
        ("create=html:1", AmbiguousAnswer, 0),
        ("create=garbage:1", AmbiguousAnswer, 0),
        ("create=cut:1", AmbiguousAnswer, 0),
        ("create=hang:1", AmbiguousAnswer, 1),
        ("create=500-after:1", AmbiguousAnswer, 1),
        ("create=html-after:1", AmbiguousAnswer, 1),
        ("create=garbage-after:1", AmbiguousAnswer, 1),
        ("create=cut-after:1", AmbiguousAnswer, 1),
    ],
)
async def test_each_fault_of_a_creation_has_its_error_and_what_was_made_is_found(
    simulator: Simulator, tmp_path: Path, fault: str, error: type[ConduitError], made: int
):
    party = opened(simulator, tmp_path)
    spec = spec_on(await cheapest(party))(party.owner)
    simulator.inject(fault)
    with pytest.raises(error) as caught:
        await party.provider.create(spec)
    assert type(caught.value) is error
    if isinstance(caught.value, ProviderBusy):
        assert caught.value.retry_after_s == 7
    assert simulator.api_key not in str(caught.value)
    # The answer was lost, not the work: it may still be under way.
    deadline = time.monotonic() + DEADLINE_S
    while len(found := await party.provider.list_owned(party.owner.id)) < made:
        assert time.monotonic() < deadline
        await anyio.sleep(0.05)
    assert [view.node_id for view in found] == [spec.node_id] * made
    await party.provider.destroy(spec.node_id)
    assert await party.provider.list_owned(party.owner.id) == []


async def test_a_loopback_address_is_reached_past_any_proxy(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    party = opened(simulator, tmp_path)
    assert await party.provider.list_owned(party.owner.id) == []


async def test_doubles_are_seen_and_ended_apart(simulator: Simulator, tmp_path: Path):
    party = opened(simulator, tmp_path)
    spec = spec_on(await cheapest(party))(party.owner)
    first, second = [await party.provider.create(spec) for _ in range(2)]
    assert len(await party.provider.list_owned(party.owner.id)) == 2
    await party.provider.destroy(spec.node_id, first.handle)
    (left,) = await party.provider.list_owned(party.owner.id)
    assert left.handle == second.handle
    await party.provider.destroy(spec.node_id)
    assert await party.provider.get(spec.node_id) is None


async def test_what_was_said_to_be_deleted_and_lives_is_seen(simulator: Simulator, tmp_path: Path):
    party = opened(simulator, tmp_path)
    simulator.inject("pod=undead:1,deletes=2")
    view = await party.provider.create(spec_on(await cheapest(party))(party.owner))
    await party.provider.destroy(view.node_id, view.handle)
    left = await party.provider.get(view.node_id, view.handle)
    assert left is not None
    assert left.alive
    await party.provider.destroy(view.node_id, view.handle)
    assert await party.provider.get(view.node_id, view.handle) is None


async def test_a_pod_that_one_look_misses_is_found_by_the_other(simulator: Simulator, tmp_path: Path):
    party = opened(simulator, tmp_path)
    simulator.inject("pod=invisible:1,seconds=600,where=get")
    view = await party.provider.create(spec_on(await cheapest(party))(party.owner))
    seen = await party.provider.get(view.node_id, view.handle)
    assert seen is not None
    assert seen.handle == view.handle
    await party.provider.destroy(view.node_id, view.handle)


async def test_a_pod_that_exited_costs_nothing_and_is_there_until_it_is_destroyed(
    simulator: Simulator, tmp_path: Path
):
    party = opened(simulator, tmp_path)
    view = await party.provider.create(spec_on(await cheapest(party))(party.owner))
    deadline = time.monotonic() + DEADLINE_S
    while (seen := await party.provider.get(view.node_id)) is None or seen.status is NodeStatus.STARTING:
        assert time.monotonic() < deadline
        await anyio.sleep(0.05)
    simulator.kill(view.handle["id"])
    while seen is None or seen.alive:
        assert time.monotonic() < deadline
        await anyio.sleep(0.05)
        seen = await party.provider.get(view.node_id, view.handle)
    (listed,) = await party.provider.list_owned(party.owner.id)
    assert (listed.status, listed.said, listed.usd_per_hour) == (NodeStatus.EXITED, "EXITED", 0.0)
    await party.provider.forget(view.node_id)
    assert await party.provider.list_owned(party.owner.id) == []


async def test_the_bill_is_that_of_the_simulators_invoice(simulator: Simulator, tmp_path: Path):
    party = opened(simulator, tmp_path)
    view = await party.provider.create(spec_on(await cheapest(party))(party.owner))
    await party.provider.destroy(view.node_id, view.handle)
    billed = await party.provider.billed_usd(view.node_id, view.handle)
    assert billed is not None
    assert 0 < billed < 0.01


async def test_an_endpoint_lives_from_create_to_destroy(simulator: Simulator, tmp_path: Path):
    party = opened(simulator, tmp_path)
    offering = next(
        offering
        for offering in await party.provider.offerings(OfferingQuery())
        if offering.gpu == "NVIDIA L4"
    )
    spec = replace(spec_on(offering)(party.owner), serverless=True, max_workers=2)
    view = await party.provider.create(spec)
    assert view.serverless
    assert view.alive
    (listed,) = await party.provider.list_owned(party.owner.id)
    assert (listed.node_id, listed.handle) == (spec.node_id, view.handle)
    assert await party.provider.endpoint(view, 8000) is not None
    await party.provider.destroy(view.node_id, view.handle)
    assert await party.provider.get(view.node_id, view.handle) is None
    assert await party.provider.list_owned(party.owner.id) == []


async def test_a_request_to_an_endpoint_starts_a_worker_that_answers_it(tmp_path: Path):
    with Simulator(provision_s=0.05, start_s=0.05) as simulator:
        party = opened(simulator, tmp_path)
        offering = (await party.provider.offerings(OfferingQuery(gpu="NVIDIA L4")))[0]
        spec = replace(spec_on(offering)(party.owner), serverless=True)
        view = await party.provider.create(spec)
        url = await party.provider.endpoint(view, 8000)
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
        headers = {"Authorization": f"Bearer {simulator.api_key}"}
        async with httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as client:
            answer = await client.post(f"{url}/v1/chat/completions", json=body, headers=headers)
            refused = await client.post(f"{url}/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] <= 4
        assert refused.status_code == 401
        assert "worker " in await party.provider.logs(view.node_id)
        billed = await party.provider.billed_usd(view.node_id, view.handle)
        assert billed is not None
        assert billed > 0
        await party.provider.destroy(view.node_id)
        assert await party.provider.list_owned(party.owner.id) == []
