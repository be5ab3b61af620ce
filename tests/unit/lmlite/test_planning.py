"""What the planner is asked for an LMLite: facts from a folder, the catalog or the hub, and the load."""

from __future__ import annotations

import json

import httpx
import pytest

from conduit.compute import ComputeProvider
from conduit.errors import ModelNotFound, ModelUnsupported
from conduit.lmlite.config import ModelConfig, resource_config
from conduit.lmlite.nodes import hub_facts, planning
from conduit.planner import ModelSpec, catalog
from conduit.settings import Settings
from support.model_configurations import QWEN3_4B, QWEN3_4B_BYTES


def asked(*models, **settings):
    config = resource_config(models, ComputeProvider.RUNPOD)
    return planning.requests(config, Settings(**settings))


def test_the_load_is_that_of_the_configuration():
    (request,) = asked(
        ModelConfig(
            "Qwen/Qwen3-8B", 4096, 16, dtype="f16", memory_fraction=0.5, tensor_parallel=2, engine="vllm"
        )
    )
    assert request.spec == catalog.facts("Qwen/Qwen3-8B")
    assert (request.engine, request.max_model_len, request.max_model_concurrency) == ("vllm", 4096, 16)
    assert (request.dtype, request.memory_fraction, request.tensor_parallel) == ("f16", 0.5, 2)


def test_the_planner_chooses_the_gpus_of_a_model_that_names_no_number():
    (request,) = asked(ModelConfig("Qwen/Qwen3-8B"))
    assert (request.engine, request.tensor_parallel, request.memory_fraction) == ("sglang", None, None)


def test_a_folder_goes_by_its_own_files(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(QWEN3_4B))
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 1000)
    (request,) = asked(ModelConfig(str(tmp_path)))
    assert request.spec == ModelSpec.from_config(QWEN3_4B, 1000)


def test_an_alias_is_what_is_loaded_and_is_not_held_to_a_context(tmp_path):
    (request,) = asked(
        ModelConfig("Qwen/Qwen3-8B", 40960),
        model_aliases={"Qwen/Qwen3-8B": "conduit/tiny"},
        data_dir=tmp_path,
    )
    assert request.model_id == "Qwen/Qwen3-8B"
    assert request.spec.checkpoint_bytes < 10**8
    assert request.spec.max_context is None


def test_models_of_other_servers_are_not_planned():
    attached = ModelConfig("theirs", engine="openai", url="http://127.0.0.1:1/v1")
    assert [r.model_id for r in asked(attached, ModelConfig("Qwen/Qwen3-8B"))] == ["Qwen/Qwen3-8B"]


@pytest.mark.parametrize("model", [ModelConfig("no/body"), ModelConfig("Qwen/Qwen3-8B", revision="v2")])
def test_a_model_without_facts_is_refused_with_the_way_to_get_them(model):
    with pytest.raises(ModelNotFound, match=r"has no facts") as caught:
        asked(model)
    assert "--online" in (caught.value.hint or "")


def hub(answers, seen=None):
    def answer(request):
        if seen is not None:
            seen.append(request)
        found = answers.get(request.url.path.rpartition("/")[2], (404, {}))
        return httpx.Response(found[0], json=found[1]) if isinstance(found[1], dict | list) else found[1]

    return httpx.MockTransport(answer)


FILES = [
    {"path": "model-00001-of-00002.safetensors", "size": QWEN3_4B_BYTES - 5},
    {"path": "model-00002-of-00002.safetensors", "size": 5},
    {"path": "pytorch_model.bin", "size": 7},
]


def test_the_hub_is_asked_for_the_configuration_and_the_sizes_of_the_weights():
    seen = []
    transport = hub({"config.json": (200, QWEN3_4B), "main": (200, FILES)}, seen)
    spec = hub_facts.fetch("some/model", None, token="hf_x", transport=transport)
    assert spec == ModelSpec.from_config(QWEN3_4B, QWEN3_4B_BYTES)
    assert [r.url.path for r in seen] == [
        "/some/model/resolve/main/config.json",
        "/api/models/some/model/tree/main",
    ]
    assert all(r.headers["Authorization"] == "Bearer hf_x" for r in seen)


def test_a_revision_is_asked_for_and_other_forms_of_weights_count_where_there_is_no_better():
    answers = {"config.json": (200, QWEN3_4B), "v2": (200, [{"path": "model.gguf", "size": 9}])}
    spec = hub_facts.fetch("some/model", "v2", token=None, transport=hub(answers))
    assert spec.checkpoint_bytes == 9


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"config.json": (401, {})}, "gated"),
        ({"config.json": (403, {})}, "gated"),
        ({}, "no weights and configuration"),
        ({"config.json": (200, QWEN3_4B), "main": (200, [])}, "no weights and configuration"),
        ({"config.json": (200, []), "main": (200, FILES)}, "no weights and configuration"),
        ({"config.json": (500, {})}, "HTTPStatusError"),
        ({"config.json": (200, httpx.Response(200, text="<html>"))}, "JSONDecodeError"),
    ],
)
def test_what_the_hub_does_not_tell_is_an_error_without_the_token(answers, said):
    with pytest.raises(ModelNotFound, match=said) as caught:
        hub_facts.fetch("some/model", None, token="hf_secret", transport=hub(answers))
    assert caught.value.model_id == "some/model"
    assert "hf_secret" not in str(caught.value)


def test_an_unreachable_hub_is_an_error_of_ours():
    def cut(request):
        raise httpx.ConnectError("no route", request=request)

    with pytest.raises(ModelNotFound, match="ConnectError"):
        hub_facts.fetch("some/model", None, token=None, transport=httpx.MockTransport(cut))


def test_a_model_of_the_hub_that_cannot_be_reckoned_is_refused_as_such():
    answers = {"config.json": (200, QWEN3_4B | {"model_type": "odd"}), "main": (200, FILES)}
    with pytest.raises(ModelUnsupported, match="odd"):
        hub_facts.fetch("some/model", None, token=None, transport=hub(answers))
