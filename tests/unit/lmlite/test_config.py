import json
from dataclasses import fields
from datetime import timedelta

import pytest

from conduit import settings
from conduit.compute import ComputeProvider, Constraint
from conduit.errors import ArgumentInvalid, ModelNotFound
from conduit.lmlite.config import ModelConfig, Routing, resource_config
from conduit.lmlite.nodes.model_files import ModelFiles
from conduit.lmlite.nodes.server_config import server_config
from gpu_server.settings import ServerSettings

LOCAL = ComputeProvider.LOCAL


def key(config, **changes):
    given = {"project": "p", "owner": "o", "files": {"m": "1"}, "server": "1"} | changes
    return config.key(**given)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"model_id": ""}, "model_id"),
        ({"model_id": 3}, "model_id"),
        ({"model_id": "m", "max_model_len": 1}, "max_model_len"),
        ({"model_id": "m", "max_model_len": "9"}, "max_model_len"),
        ({"model_id": "m", "max_model_concurrency": 0}, "max_model_concurrency"),
        ({"model_id": "m", "max_model_concurrency": True}, "max_model_concurrency"),
        ({"model_id": "m", "model_batch_execute_timeout_ms": -1}, "model_batch_execute_timeout_ms"),
        ({"model_id": "m", "max_queue": -1}, "max_queue"),
        ({"model_id": "m", "engine": "llama"}, "engine"),
        ({"model_id": "m", "task": "paint"}, "task"),
        ({"model_id": "m", "engine": "openai"}, "url"),
        ({"model_id": "m", "url": "http://h/v1"}, "url"),
        ({"model_id": "m", "engine": "vllm", "url": "http://h/v1"}, "url"),
        ({"model_id": "m", "engine": "openai", "url": "h:80/v1"}, "url"),
        ({"model_id": "m", "engine": "openai", "url": "http:///v1"}, "url"),
        ({"model_id": "m", "api_key_variable": "KEY"}, "api_key_variable"),
        (
            {"model_id": "m", "engine": "openai", "url": "http://h", "api_key_variable": "sk-1"},
            "api_key_variable",
        ),
        ({"model_id": "m", "engine": "sglang", "engine_command": []}, "engine_command"),
        ({"model_id": "m", "engine": "sglang", "engine_command": "python"}, "engine_command"),
        ({"model_id": "m", "engine": "sglang", "engine_args": [1]}, "engine_args"),
        ({"model_id": "m", "engine": "mistralrs", "engine_args": ["--x"]}, "engine_args"),
        ({"model_id": "m", "engine": "openai", "url": "http://h", "engine_command": ["x"]}, "engine_command"),
        ({"model_id": "m", "engine": "mistralrs", "tensor_parallel": 2}, "tensor_parallel"),
        ({"model_id": "m", "engine": "vllm", "tensor_parallel": 0}, "tensor_parallel"),
        ({"model_id": "m", "engine": "mistralrs", "memory_fraction": 0.5}, "memory_fraction"),
        ({"model_id": "m", "engine": "vllm", "memory_fraction": 1}, "memory_fraction"),
    ],
)
def test_an_impossible_model_argument_is_named(arguments, named):
    with pytest.raises(ArgumentInvalid) as caught:
        ModelConfig(**arguments)
    assert caught.value.argument == named


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"models": []}, "models"),
        ({"models": ["m", ModelConfig("m")]}, "models"),
        ({"models": [3]}, "models"),
        ({"replicas": 0}, "replicas"),
        ({"num_gpus": 0}, "num_gpus"),
        ({"budget_usd": 0}, "budget_usd"),
        ({"idle_timeout": 0}, "idle_timeout"),
        ({"idle_timeout": float("inf")}, "idle_timeout"),
        ({"max_lifetime": timedelta(0)}, "max_lifetime"),
        ({"compute_provider": "cloud9"}, "compute_provider"),
        ({"gpu": "nothing"}, "gpu"),
        ({"constraints": ["cheap"]}, "constraints"),
        ({"routing": "random"}, "routing"),
        ({"models": ModelConfig("m", tensor_parallel=2)}, "tensor_parallel"),
        ({"regions": "EU-RO-1"}, "regions"),
        ({"regions": [""]}, "regions"),
        ({"regions": [3]}, "regions"),
        ({"max_usd_per_hour": 0}, "max_usd_per_hour"),
        ({"max_usd_per_hour": "1"}, "max_usd_per_hour"),
        ({"max_usd_per_hour": float("nan")}, "max_usd_per_hour"),
    ],
)
def test_an_impossible_resource_argument_is_named(arguments, named):
    with pytest.raises(ArgumentInvalid) as caught:
        resource_config(**{"models": "m", "compute_provider": LOCAL} | arguments)
    assert caught.value.argument == named


def test_models_may_be_an_id_a_config_or_a_list():
    for models in ("m", ModelConfig("m"), ["m"], (ModelConfig("m"),)):
        assert resource_config(models, LOCAL).models == (ModelConfig("m", engine="mistralrs"),)


def test_times_may_be_seconds_or_timedeltas():
    config = resource_config("m", LOCAL, idle_timeout=timedelta(minutes=2), max_lifetime=5)
    assert (config.idle_timeout_s, config.max_lifetime_s) == (120.0, 5.0)


def test_a_call_may_leave_out_the_only_model():
    assert resource_config("m", LOCAL).model(None).model_id == "m"


def test_a_call_must_name_one_of_several_models():
    config = resource_config(["a", "b"], LOCAL)
    assert config.model("b").model_id == "b"
    with pytest.raises(ArgumentInvalid, match="a, b"):
        config.model(None)


def test_an_unknown_model_is_refused_with_those_there_are():
    with pytest.raises(ModelNotFound, match="a, b") as caught:
        resource_config(["a", "b"], LOCAL).model("c")
    assert caught.value.model_id == "c"


def test_equal_configurations_share_a_key():
    one = resource_config([ModelConfig("m", max_model_len=9)], LOCAL, replicas=2)
    two = resource_config(ModelConfig("m", max_model_len=9), "local", replicas=2)
    assert key(one) == key(two)


@pytest.mark.parametrize(
    "change",
    [
        {"models": ModelConfig("m", max_model_len=9)},
        {"models": ["m", "n"]},
        {"replicas": 2},
        {"idle_timeout": 3},
        {"max_lifetime": 3},
        {"constraints": [Constraint.SECURE]},
        {"models": ModelConfig("m", engine="sglang")},
        {"models": ModelConfig("m", task="embed")},
        {"models": ModelConfig("m", max_queue=9)},
        {"models": ModelConfig("m", engine="sglang", engine_args=["--x"])},
        {"gpu": "NVIDIA L4"},
        {"num_gpus": 2},
        {"regions": ["EU-RO-1"]},
        {"serverless": True},
    ],
)
def test_whatever_changes_what_runs_changes_the_key(change):
    assert key(resource_config(models="m", compute_provider=LOCAL)) != key(
        resource_config(**{"models": "m", "compute_provider": LOCAL} | change)
    )


@pytest.mark.parametrize("change", [{"project": "q"}, {"owner": "q"}, {"files": {"m": "2"}}, {"server": "2"}])
def test_other_surroundings_change_the_key(change):
    config = resource_config("m", LOCAL)
    assert key(config) != key(config, **change)


def test_what_changes_nothing_that_runs_does_not_change_the_key():
    routing = Routing("prefix", hedge_after_s=1)
    other = resource_config("m", LOCAL, name="n", budget_usd=3, max_usd_per_hour=1.5, routing=routing)
    assert key(resource_config("m", LOCAL)) == key(other)


def test_replicas_are_as_many_nodes_and_an_endpoint_is_one():
    assert resource_config("m", LOCAL, replicas=3).nodes == 3
    assert resource_config("m", LOCAL, replicas=3, serverless=True).nodes == 1


def test_a_configuration_is_json_values_for_the_records():
    config = resource_config(
        "m", ComputeProvider.RUNPOD, gpu="NVIDIA L4", regions=["EU-RO-1"], constraints=[Constraint.SECURE]
    )
    spec = json.loads(json.dumps(config.spec()))
    assert (spec["gpu"], spec["regions"], spec["constraints"]) == ("NVIDIA L4", ["EU-RO-1"], ["secure"])
    assert spec["models"][0]["model_id"] == "m"


def test_the_default_engine_is_the_providers_or_the_resources_and_a_models_own_comes_first():
    models = ["m", ModelConfig("n", engine="sglang")]
    assert [m.engine for m in resource_config(models, LOCAL).models] == ["mistralrs", "sglang"]
    assert [m.engine for m in resource_config(models, LOCAL, engine="vllm").models] == ["vllm", "sglang"]
    named = resource_config(ModelConfig("m", engine="mistralrs"), LOCAL)
    assert key(named) == key(resource_config("m", LOCAL))


def test_a_command_may_be_a_list_and_the_model_can_still_be_compared_and_hashed():
    config = ModelConfig("m", engine="vllm", engine_command=["python", "-m", "x"], engine_args=["--y"])
    assert config.engine_command == ("python", "-m", "x")
    assert hash(config) == hash(
        ModelConfig("m", engine="vllm", engine_command=("python", "-m", "x"), engine_args=("--y",))
    )


def test_a_call_may_leave_out_the_only_model_that_generates():
    config = resource_config([ModelConfig("a", task="embed"), "b"], LOCAL)
    assert config.model(None).model_id == "b"


def test_routing_may_be_the_name_of_a_policy():
    assert resource_config("m", LOCAL, routing="prefix").routing == Routing("prefix")
    assert resource_config("m", LOCAL).routing == Routing("round_robin", hedge_after_s=None)


@pytest.mark.parametrize(
    ("arguments", "named"), [({"policy": "x"}, "policy"), ({"hedge_after_s": 0}, "hedge_after_s")]
)
def test_an_impossible_routing_is_named(arguments, named):
    with pytest.raises(ArgumentInvalid) as caught:
        Routing(**arguments)
    assert caught.value.argument == named


def test_a_server_is_told_all_of_a_model_and_takes_it():
    """Both sides know the same fields: what one adds, the other must take."""
    model = ModelConfig("m", engine="sglang", memory_fraction=0.5, engine_args=["--x"], dtype="bfloat16")
    config = resource_config(model, LOCAL)
    told = server_config(config, [(model, ModelFiles("m", None, ""))], settings.load())
    taken = ServerSettings.model_validate_json(json.dumps(told)).models[0]
    assert (taken.engine, taken.memory_fraction, taken.engine_args, taken.dtype) == (
        "sglang",
        0.5,
        ["--x"],
        "bf16",
    )
    own = {field.name for field in fields(ModelConfig)}
    assert own <= set(told["models"][0])
    assert set(told["models"][0]) - own == {"path", "source", "startup_timeout_s"}
