from datetime import timedelta

import pytest

from conduit.compute import ComputeProvider, Constraint
from conduit.errors import ArgumentInvalid, ModelNotFound
from conduit.lmlite.config import ModelConfig, resource_config

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
    ],
)
def test_an_impossible_resource_argument_is_named(arguments, named):
    with pytest.raises(ArgumentInvalid) as caught:
        resource_config(**{"models": "m", "compute_provider": LOCAL} | arguments)
    assert caught.value.argument == named


def test_models_may_be_an_id_a_config_or_a_list():
    for models in ("m", ModelConfig("m"), ["m"], (ModelConfig("m"),)):
        assert resource_config(models, LOCAL).models == (ModelConfig("m"),)


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


def test_name_and_budget_do_not_change_the_key():
    assert key(resource_config("m", LOCAL)) == key(resource_config("m", LOCAL, name="n", budget_usd=3))
