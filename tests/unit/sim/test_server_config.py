"""A pod's configuration is changed only as far as a machine without a GPU needs."""

import json

import pytest

from conduit.errors import ModelNotFound
from conduit.sim.runpod.pods.server_config import check_model, command_of, model_folder, rewritten

GIVEN = {
    "host": "0.0.0.0",
    "port": 8000,
    "drain_s": 3,
    "model_cache": "/workspace/models",
    "models": [
        {
            "model_id": "Qwen/Qwen3-4B",
            "engine": "sglang",
            "path": "/workspace/qwen",
            "max_model_len": 4096,
            "max_model_concurrency": 50,
            "memory_fraction": 0.8,
            "tensor_parallel": 2,
            "quantization": "fp8",
            "engine_args": ["--x"],
        },
        {"model_id": "elsewhere", "engine": "openai", "url": "http://127.0.0.1:1/v1"},
    ],
}


def test_engine_and_files_change_and_what_callers_see_does_not(tmp_path):
    folder = model_folder("conduit/tiny")
    shown = json.loads(rewritten(json.dumps(GIVEN), folder=folder, announce=tmp_path / "announce.json"))
    assert (shown["host"], shown["port"], shown["drain_s"]) == ("127.0.0.1", 0, 3)
    assert shown["announce"] == str(tmp_path / "announce.json")
    assert "model_cache" not in shown
    model, attached = shown["models"]
    assert model == {
        "model_id": "Qwen/Qwen3-4B",
        "engine": "mistralrs",
        "path": str(folder),
        "max_model_len": 2048,  # no more than the model that is loaded has
        "max_model_concurrency": 50,
    }
    assert attached == GIVEN["models"][1]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"models": 3}', '{"models": ["x"]}', "nonsense"])
def test_what_is_no_configuration_is_left_for_the_server_to_refuse(text, tmp_path):
    assert rewritten(text, folder=model_folder("conduit/tiny"), announce=tmp_path) == text


def test_a_pod_without_a_configuration_runs_no_server():
    assert command_of({"GPU_SERVER_CONFIG": "{}"}, None)[1:] == ["-m", "gpu_server"]
    assert command_of({"GPU_SERVER_CONFIG": "{}"}, ("sleep", "1")) == ["sleep", "1"]
    assert "gpu_server" not in " ".join(command_of({}, None))


def test_the_shipped_model_is_there_and_a_missing_one_is_said(tmp_path):
    check_model("conduit/tiny")
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        check_model(str(tmp_path))
