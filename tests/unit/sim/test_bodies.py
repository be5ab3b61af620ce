"""A body that the contract does not allow is refused, with the place of the fault."""

import pytest
from pydantic import ValidationError

from conduit.sim.runpod.api.endpoints import CreateEndpoint, UpdateEndpoint
from conduit.sim.runpod.bodies import CreatePod, UpdatePod

POD = {"name": "n", "image": "i"}
ENDPOINT = {**POD, "type": "QUEUE", "scaling": {"type": "QUEUE_DELAY", "queueDelay": 1}}


@pytest.mark.parametrize(
    "change",
    [
        {"disk": None},
        {"disk": True},
        {"gpu": None},
        {"globalNetworking": "true"},
        {"ports": "8000/http"},
        {"gpu": {"id": "x", "minCudaVersion": "12"}},
        {"gpu": {"id": "x", "minCudaVersion": "١٢.٤"}},
        {"mounts": {"network": [{"volumeId": "v", "path": "/"}] * 2}},
        {"templateId": ""},
    ],
)
def test_a_pod_is_as_strict_as_the_contract(change):
    with pytest.raises(ValidationError):
        CreatePod.model_validate(POD | change)


def test_null_means_something_only_where_the_contract_says_so():
    assert UpdatePod.model_validate({"registry": None}).given() == {"registry": None}
    with pytest.raises(ValidationError, match="name must not be null"):
        UpdatePod.model_validate({"name": None})


@pytest.mark.parametrize(
    "change",
    [
        {"gpu": {"pools": ["A"], "excludedTypes": ["B", "B"]}},
        {"gpu": {"pools": ["A"], "excludedTypes": ["-B"]}},
        {"gpu": {"pools": ["A"], "minCudaVersion": ""}},
        {"cpu": [{"id": "c", "vcpuCount": 2}] * 2},
        {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 0.4}},
        {"scaling": {"type": "REQUEST_COUNT", "queueDelay": 4}},
        {"workers": {"idleTimeout": 3601}},
        {"templateId": "t", "image": None},
    ],
)
def test_an_endpoint_is_as_strict_as_the_contract(change):
    CreateEndpoint.model_validate(ENDPOINT)
    with pytest.raises(ValidationError):
        CreateEndpoint.model_validate(ENDPOINT | change)


def test_a_change_of_an_endpoint_may_clear_its_floor_but_not_exclude_from_nothing():
    UpdateEndpoint.model_validate({"gpu": {"minCudaVersion": ""}})
    with pytest.raises(ValidationError, match="excludedTypes requires pools"):
        UpdateEndpoint.model_validate({"gpu": {"excludedTypes": ["B"]}})
