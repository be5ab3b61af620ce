"""Schemathesis reads RunPod's own document and tries on the simulator what it allows and what it forbids."""

from __future__ import annotations

import warnings
from typing import Any

import httpx
import hypothesis
import pytest

from support.runpod_spec import SPEC, document, needs_spec, resolved

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS, load_all_checks

from conduit.sim.runpod import Simulator
from conduit.sim.runpod.app import PATHS

pytestmark = needs_spec
LABELS = sorted(f"{method} {path}" for path, methods in PATHS.items() for method in methods)
# What the document allows by its schemas may still break a rule that stands in its prose, and is then a 400.
NOT_HELD = ("positive_data_acceptance",)
EXAMPLES = 5
ENDPOINT = {
    "name": "one",
    "type": "QUEUE",
    "image": "i",
    "gpu": {"pools": ["AMPERE_24"]},
    "workers": {"min": 1},
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 1},
}


def says_something(label: str) -> bool:
    """Whether it has a body or a parameter in the query: only there can a request be wrong."""
    method, path = label.split()
    if not SPEC.exists():
        return False
    operation = document()["paths"][path][method.lower()]
    given = [resolved(parameter) for parameter in operation.get("parameters", ())]
    return "requestBody" in operation or any(parameter["in"] == "query" for parameter in given)


@pytest.fixture(scope="module")
def simulator():
    with Simulator(server=("sleep", "600"), provision_s=0, start_s=0, max_pods=4, foreign=1) as running:
        yield running


@pytest.fixture(scope="module")
def known(simulator) -> dict[str, str]:
    """Ids that there are, by path: made-up ones would all be 404."""
    with httpx.Client(
        base_url=simulator.base_url, headers={"Authorization": f"Bearer {simulator.api_key}"}, trust_env=False
    ) as api:
        made = {
            "/v2/pods": {"name": "one", "image": "i", "gpu": {"id": "NVIDIA A40"}},
            "/v2/serverless": ENDPOINT,
            "/v2/templates": {"name": "one", "image": "i"},
            "/v2/network-volumes": {"name": "one", "size": 10, "dataCenter": "EU-RO-1"},
            "/v2/registries": {"name": "one", "username": "u", "password": "p"},
        }
        ids = {path: api.post(path, json=body).raise_for_status().json()["id"] for path, body in made.items()}
    catalog = {"gpus": "NVIDIA L4", "cpus": "cpu3c", "datacenters": "EU-RO-1"}
    return ids | {f"/v2/catalog/{kind}": name for kind, name in catalog.items()}


@pytest.fixture(scope="module")
def schema(simulator) -> Any:
    load_all_checks()
    loaded = schemathesis.openapi.from_dict(document())
    loaded.config.update(base_url=simulator.base_url)
    loaded.config.generation.update(with_security_parameters=False)

    @loaded.auth()
    class Key:
        def get(self, case: Any, context: Any) -> str:
            return simulator.api_key

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}

    return loaded


@pytest.mark.parametrize(
    ("label", "mode"),
    [
        *((label, GenerationMode.POSITIVE) for label in LABELS),
        *((label, GenerationMode.NEGATIVE) for label in LABELS if says_something(label)),
    ],
)
def test_the_simulator_does_what_the_document_says(schema, known, label: str, mode: GenerationMode) -> None:
    method, path = label.split()
    operation = schema[path][method]
    checks = [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in NOT_HELD]

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        case=operation.as_strategy(generation_mode=mode), is_known=hypothesis.strategies.booleans()
    )
    def run(case: Any, is_known: bool) -> None:
        root = path.partition("/{")[0]
        if is_known and method != "DELETE" and not path.endswith("/logs") and root in known:
            case.path_parameters = {**case.path_parameters, "id": known[root]}
        case.call_and_validate(checks=checks, timeout=20)

    run()
