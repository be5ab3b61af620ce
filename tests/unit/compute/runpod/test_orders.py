"""What is asked for is what the spec says, in the form that RunPod's contract has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from conduit.errors import OfferingRefused, ProviderRejected, ProviderUnavailable
from gpu_server.settings import ServerSettings
from support.runpod_account import L4, gpu_type, pod

pytestmark = pytest.mark.anyio

CONTRACT = Path(__file__).parents[5] / "shared" / "specs" / "runpod-rest-v2.openapi.json"


def check(value: Any, schema: str) -> None:
    if not CONTRACT.is_file():
        pytest.skip(f"{CONTRACT} is not there, and is no part of the project")
    components = json.loads(CONTRACT.read_text())["components"]
    whole = {"$ref": f"#/components/schemas/{schema}", "components": components}
    jsonschema.Draft202012Validator(whole).validate(value)


def body(account, number: int = -1) -> dict[str, Any]:
    posted = [request for request in account.asked if request.method == "POST"]
    return json.loads(posted[number].content)


async def test_a_pod_is_asked_for_by_name_on_the_one_machine(provider, account, make_spec, owner):
    spec = make_spec(expires_at=1_800_000_000.5, image="server:2")
    await provider.create(spec)
    asked = body(account)
    assert asked["name"] == f"cdt-{owner.id}-{spec.node_id}"
    assert asked["gpu"] == {"id": "NVIDIA L4", "count": 1, "minCudaVersion": "13.0"}
    assert (asked["cloud"], asked["ports"], asked["image"]) == ("SECURE", ["8000/http"], "server:2")
    assert "dataCenterIds" not in asked
    tags = {name: value for name, value in asked["env"].items() if name.startswith("CONDUIT_")}
    assert tags == {
        "CONDUIT_NODE": spec.node_id,
        "CONDUIT_OWNER": owner.id,
        "CONDUIT_NODE_DEPLOYMENT": "d1",
        "CONDUIT_NODE_PROJECT": "/home/me/project",
        "CONDUIT_EXPIRES_AT": "1800000000",
    }
    assert asked["env"]["GPU_SERVER_TOKEN"] == owner.token(spec.node_id).get_secret_value()
    assert "HF_TOKEN" not in asked["env"]


async def test_the_server_gets_a_configuration_that_it_takes(open_provider, account, make_spec):
    provider = open_provider(runpod_volume="vol1", runpod_base_url="http://127.0.0.1:9")
    local = {"tls_certificate": "/c.pem", "tls_key": "/k.pem", "announce": "/a", "host": "127.0.0.1"}
    await provider.create(make_spec(config={**make_spec().config, **local}))
    settings = ServerSettings.model_validate_json(body(account)["env"]["GPU_SERVER_CONFIG"])
    assert (settings.host, settings.port, settings.tls_certificate) == ("0.0.0.0", 8000, None)
    assert (settings.on_expiry, settings.host_api.url) == ("end_host", "http://127.0.0.1:9")
    assert str(settings.model_cache) == "/runpod-volume/models"
    assert settings.idle_timeout_s == 900


async def test_pods_and_endpoints_are_within_runpods_contract(open_provider, account, make_spec):
    account.types = [gpu_type(), gpu_type(id="NVIDIA RTX A5000", name="A5000")]
    for provider in (
        open_provider(),
        open_provider(runpod_volume="vol1", hf_token="hf", runpod_min_cuda=None),
    ):
        for offering in (L4, replace(L4, region="EU-RO-1", gpu_count=2)):
            await provider.create(make_spec(offering=offering))
            check(body(account), "CreatePodRequest")
            await provider.create(make_spec(offering=offering, serverless=True, max_workers=3))
            check(body(account), "CreateEndpointRequest")
    check(pod(), "Pod")
    check(gpu_type(), "GpuType")


async def test_region_cloud_volume_and_hub_token_are_handed_on(open_provider, account, make_spec):
    provider = open_provider(runpod_volume="vol1", hf_token="hf_1")
    await provider.create(make_spec(offering=replace(L4, region="EU-RO-1")))
    asked = body(account)
    assert asked["dataCenterIds"] == ["EU-RO-1"]
    assert asked["mounts"] == {"network": [{"volumeId": "vol1", "path": "/runpod-volume"}]}
    assert asked["env"]["HF_TOKEN"] == "hf_1"
    community = replace(L4, secure=False)
    await open_provider().create(make_spec(offering=community))
    assert body(account)["cloud"] == "COMMUNITY"
    with pytest.raises(ProviderRejected, match="no network volumes"):
        await provider.create(make_spec(offering=community))


async def test_an_endpoint_has_no_worker_while_nobody_asks_and_runs_on_that_gpu_alone(
    provider, account, make_spec
):
    account.types = [gpu_type(), gpu_type(id="NVIDIA RTX A5000"), gpu_type(id="NVIDIA A40", pool="AMPERE_48")]
    made = await provider.create(make_spec(serverless=True, max_workers=3))
    asked = body(account)
    assert asked["workers"] == {"min": 0, "max": 3, "idleTimeout": 900}
    assert asked["gpu"]["pools"] == ["AMPERE_24"]
    assert asked["gpu"]["excludedTypes"] == ["NVIDIA RTX A5000"]
    assert "idle_timeout_s" not in json.loads(asked["env"]["GPU_SERVER_CONFIG"])
    assert made.serverless
    assert made.usd_per_hour == pytest.approx(0.69 * 3)
    config = {**make_spec().config, "idle_timeout_s": 86_400.0}
    await provider.create(make_spec(serverless=True, config=config, node_id="n2"))
    assert body(account)["workers"]["idleTimeout"] == 3600


async def test_what_cannot_be_asked_for_is_refused_before_it_is(provider, account, make_spec):
    with pytest.raises(ProviderRejected, match="names no machine"):
        await provider.create(make_spec(offering=None))
    with pytest.raises(ProviderRejected, match="of owner 0123456789ab"):
        await provider.create(make_spec(owner="0123456789ab"))
    account.types = [gpu_type(pool=None)]
    with pytest.raises(OfferingRefused, match="no serverless endpoints on 'NVIDIA L4'"):
        await provider.create(make_spec(serverless=True))
    assert [line for line in account.asked_for if line.startswith("POST")] == []


@pytest.mark.parametrize(
    ("serverless", "variable"),
    [(False, "CONDUIT_RUNPOD_IMAGE"), (True, "CONDUIT_RUNPOD_SERVERLESS_IMAGE")],
)
async def test_without_an_image_nothing_is_asked_for_and_the_variable_is_named(
    open_provider, account, make_spec, serverless, variable
):
    provider = open_provider(runpod_image=None, runpod_serverless_image=None)
    with pytest.raises(ProviderUnavailable, match="none is named") as refused:
        await provider.create(make_spec(serverless=serverless))
    assert variable in refused.value.hint
    assert [line for line in account.asked_for if line.startswith("POST")] == []
    await provider.create(make_spec(serverless=serverless, image="own/server:3"))
    assert body(account)["image"] == "own/server:3"


async def test_pods_and_endpoints_have_an_image_each(provider, account, make_spec):
    await provider.create(make_spec())
    assert body(account)["image"] == "example/server:1"
    await provider.create(make_spec(serverless=True))
    assert body(account)["image"] == "example/worker:1"


async def test_a_simulator_needs_no_image(open_provider, account, make_spec):
    nothing = {"runpod_image": None, "runpod_serverless_image": None}
    provider = open_provider(runpod_base_url="http://127.0.0.1:9", **nothing)
    await provider.create(make_spec())
    assert body(account)["image"]
