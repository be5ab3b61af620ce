"""A pod that ends itself: which ways are tried, and for how long."""

import asyncio

import pytest
from pydantic import SecretStr

from gpu_server.host.choice import host_of
from gpu_server.host.ending import ask_until_gone
from gpu_server.host.runpod import RunPodHost
from gpu_server.serving.back_off import BackOff
from gpu_server.settings import HostApi, SettingsError

KEY = "rpa_secret"


class Scripted(RunPodHost):
    """Answers with the statuses that it was given, by way."""

    def __init__(self, **statuses):
        super().__init__("https://api.example", "pod1", SecretStr(KEY))
        self.statuses = statuses
        self.tried = []

    async def _ask(self, method, body, what):
        way = body["action"] if body else method
        self.tried.append(way)
        return self.statuses.get(way)


@pytest.mark.parametrize(
    ("statuses", "asked", "tried"),
    [
        ({"DELETE": 204}, "accepted", ["DELETE"]),
        ({"DELETE": 404}, "gone", ["DELETE"]),
        ({"DELETE": 500}, "failed", ["DELETE"]),
        ({"DELETE": 429}, "failed", ["DELETE"]),
        ({}, "failed", ["DELETE"]),
        ({"DELETE": 403, "terminate": 204}, "accepted", ["DELETE", "terminate"]),
        ({"DELETE": 401, "terminate": 403, "stop": 200}, "accepted", ["DELETE", "terminate", "stop"]),
        ({"DELETE": 401, "terminate": 401, "stop": 401}, "refused", ["DELETE", "terminate", "stop"]),
        ({"DELETE": 403, "terminate": 409}, "accepted", ["DELETE", "terminate"]),
    ],
)
def test_the_next_way_is_tried_where_the_key_may_not(statuses, asked, tried):
    host = Scripted(**statuses)
    assert asyncio.run(host.end()) == asked
    assert host.tried == tried


@pytest.mark.parametrize("answer", ["accepted", "gone", "refused", "failed"])
def test_whatever_is_answered_it_is_asked_again_and_closed_in_the_end(answer):
    class Host:
        name = "a machine"
        asked = 0
        closed = False
        thrice = asyncio.Event()

        async def end(self):
            self.asked += 1
            if self.asked == 3:
                self.thrice.set()
            return answer

        async def close(self):
            self.closed = True

    async def three_times():
        host = Host()
        asking = asyncio.create_task(ask_until_gone(host, back_off=lambda: BackOff(first_s=0.001)))
        await asyncio.wait_for(host.thrice.wait(), 20)
        asking.cancel()
        await asyncio.wait([asking])
        return host

    assert asyncio.run(three_times()).closed


def test_the_key_is_taken_out_of_the_environment_and_shows_nowhere():
    environment = {"RUNPOD_POD_ID": "pod1", "RUNPOD_API_KEY": KEY}
    host = host_of(HostApi(kind="runpod"), environment)
    assert environment == {"RUNPOD_POD_ID": "pod1"}
    assert KEY not in f"{host!r} {host.name}"


def test_without_an_api_there_is_no_host_and_nothing_is_taken():
    environment = {"RUNPOD_API_KEY": KEY}
    assert host_of(None, environment) is None
    assert environment == {"RUNPOD_API_KEY": KEY}


@pytest.mark.parametrize(
    "environment", [{"RUNPOD_API_KEY": KEY}, {"RUNPOD_POD_ID": "p"}, {"RUNPOD_POD_ID": "a/b"}]
)
def test_an_environment_without_what_is_needed_is_refused_by_name(environment):
    with pytest.raises(SettingsError, match="host_api: the environment variable RUNPOD_"):
        host_of(HostApi(kind="runpod"), dict(environment))
