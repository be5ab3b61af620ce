"""A plan names the cheapest machine that holds the models, with their shares, and says why every other does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conduit.compute import GPUS, Constraint, Offering
from conduit.errors import ArgumentInvalid, NothingFits
from conduit.planner import ModelRequest, ModelSpec, catalog, estimate, plan
from support.model_configurations import GEMMA3_1B, QWEN3_4B, QWEN3_4B_BYTES

QWEN = ModelSpec.from_config(QWEN3_4B, QWEN3_4B_BYTES)
FLAGS = Path(__file__).parents[2] / "support" / "engine_flags"
LOAD = ModelRequest("qwen", QWEN, max_model_len=4096, max_model_concurrency=8)


def machine(name="NVIDIA L4", memory_gib=22.0, usd=0.5, count=1, **more):
    more = {"compute_capability": 8.9, **more}
    return Offering("runpod", name, name, count, memory_gib, usd, **more)


SMALL = machine("NVIDIA RTX A4000", 7.5, 0.2, compute_capability=8.6)
L4 = machine()
LARGE = machine("NVIDIA A40", 44.3, 0.4, compute_capability=8.6)
H100 = machine("NVIDIA H100 80GB", 79.1, 2.7, compute_capability=9.0)
OLD = machine("NVIDIA T4", 14.5, 0.1, compute_capability=7.5)


def facts(model_id):
    spec = catalog.facts(model_id)
    assert spec is not None
    return spec


def reason(made, name):
    return next(r.reason for r in made.rejected if r.offering.name == name)


def test_the_cheapest_that_holds_the_load_is_chosen_and_cheaper_ones_say_why_not():
    made = plan([LOAD], [H100, L4, SMALL, LARGE])
    assert made.offering is LARGE
    assert [c.offering for c in made.candidates] == [LARGE, L4, H100]
    assert [r.offering for r in made.cheaper] == [SMALL]
    assert "7.5 GiB are usable" in reason(made, SMALL.name)
    assert "weights 7.5" in reason(made, SMALL.name)


def test_among_equal_prices_what_is_free_goes_first_and_then_what_leaves_most_room():
    low = machine("NVIDIA L40", 44.3, availability="low")
    high = machine("NVIDIA L4", 22.0, availability="high")
    roomy = machine("NVIDIA L40S", 44.3, availability="high")
    assert [c.offering for c in plan([LOAD], [low, high, roomy]).candidates] == [roomy, high, low]


def test_the_documented_example_goes_onto_one_card_of_24_gib_with_three_shares():
    models = [
        ModelRequest(model_id, facts(model_id), max_model_len=length, max_model_concurrency=8)
        for model_id, length in (
            ("Qwen/Qwen2.5-7B-Instruct", 2048),
            ("meta-llama/Llama-3.2-1B-Instruct", 1024),
            ("google/gemma-3-1b-it", 1024),
        )
    ]
    made = plan(models, catalog.offerings())
    assert made.offering.gpu_count == 1
    assert made.offering.memory_gib < 24
    assert [m.model_id for m in made.models] == [m.model_id for m in models]
    assert all(m.memory_fraction and 0 < m.share < 1 for m in made.models)
    assert sum(m.share for m in made.models) <= 1
    for asked, planned in zip(models, made.models, strict=True):
        assert planned.kv_tokens >= asked.max_model_len * asked.max_model_concurrency
    assert not any(r.reason == "" for r in made.rejected)


@pytest.mark.parametrize("engine", ["sglang", "vllm", "mistralrs"])
def test_what_the_engines_flag_gives_is_what_the_plan_promises(engine):
    loads = [
        replace(LOAD, engine=engine),
        ModelRequest("gemma", ModelSpec.from_config(GEMMA3_1B, 2 * 10**9), engine, 2048, 4),
    ]
    for planned in plan(loads, [LARGE]).models:
        asked = next(load for load in loads if load.model_id == planned.model_id)
        alone = estimate(
            asked.spec,
            engine=engine,
            gpu_memory_gib=LARGE.memory_gib,
            mem_fraction=planned.memory_fraction,
            context_len=asked.max_model_len,
            concurrency=asked.max_model_concurrency,
            taken_gib=planned.taken_gib,
        )
        assert planned.kv_tokens <= (alone.kv_tokens or 0)
        assert planned.kv_tokens >= asked.max_model_len * asked.max_model_concurrency


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
@pytest.mark.parametrize("memory_gib", [44.3, 13.5])
def test_flags_are_such_as_the_engine_has(engine, memory_gib):
    (planned,) = plan([replace(LOAD, engine=engine)], [machine(memory_gib=memory_gib)]).models
    known = json.loads((FLAGS / f"{engine}.json").read_text())["flags"]
    given = [flag for flag in planned.flags if flag.startswith("--")]
    assert given
    assert set(given) <= set(known)


def test_two_servers_of_one_gpu_get_the_flags_of_the_order_in_which_they_start():
    first, second = plan([LOAD, replace(LOAD, model_id="again")], [LARGE]).models
    assert first.taken_gib == 0
    assert second.taken_gib == pytest.approx(first.total_bytes / 2**30)
    # The same pool is a larger share of what is then free.
    assert (second.memory_fraction or 0) > (first.memory_fraction or 0)


def test_a_fraction_that_is_set_is_kept_and_refused_where_it_leaves_too_little():
    made = plan([replace(LOAD, memory_fraction=0.6)], [LARGE, L4])
    assert made.models[0].memory_fraction == 0.6
    with pytest.raises(NothingFits, match=r"memory_fraction=0\.3"):
        plan([replace(LOAD, memory_fraction=0.3)], [L4])


def test_one_model_may_lie_on_several_gpus():
    big = ModelRequest("big", facts("meta-llama/Llama-3.1-70B-Instruct"), max_model_len=8192)
    two = machine("NVIDIA H100 80GB", 79.1, 5.4, count=2, compute_capability=9.0)
    made = plan([big], [H100, two])
    assert (made.offering, made.models[0].tp) == (two, 2)
    assert "141" in reason(made, H100.name) or "GiB are needed" in reason(made, H100.name)


def test_the_number_of_gpus_that_a_model_asks_for_is_kept():
    halved = replace(LOAD, tensor_parallel=2)
    made = plan([halved], [L4, machine(usd=2.0, count=4)])
    assert (made.offering.gpu_count, made.models[0].tp) == (4, 2)
    assert "tensor_parallel=2" in reason(made, L4.name)


def test_heads_that_do_not_divide_keep_a_model_off_that_many_gpus():
    odd = ModelRequest("odd", facts("Qwen/Qwen2.5-0.5B-Instruct"))  # 14 heads
    four = machine(count=4)
    assert "14 attention heads" in plan([odd], [machine(usd=9.0), four]).rejected[0].reason


def test_blocks_of_fp8_keep_narrow_experts_off_many_gpus():
    experts = ModelRequest("experts", facts("Qwen/Qwen3-30B-A3B-Instruct-2507-FP8"))  # of width 768
    made = plan(
        [experts], [machine("NVIDIA H100 80GB", 79.1, 2.7), machine("NVIDIA H200", 139.0, 9.0, count=8)]
    )
    assert "blocks of 128" in made.rejected[0].reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "bfloat16 needs compute capability 8.0"),
        ({"dtype": "f16", "spec": facts("Qwen/Qwen3-8B-FP8")}, "fp8 needs compute capability 8.9"),
        ({"dtype": "f16", "kv_dtype": "fp8"}, "fp8 needs compute capability 8.9"),
        ({"spec": facts("openai/gpt-oss-20b")}, "mxfp4 needs compute capability 9.0"),
        ({"dtype": "f16", "quantization": "nvfp4"}, "nvfp4 needs compute capability 10.0"),
    ],
)
def test_a_gpu_that_cannot_calculate_with_the_type_is_rejected(change, said):
    with pytest.raises(NothingFits, match=said):
        plan([replace(LOAD, max_model_len=16, **change)], [replace(OLD, memory_gib=79.0)])


def test_16_bits_of_the_older_kind_run_on_older_gpus():
    assert plan([replace(LOAD, dtype="f16", max_model_len=256)], [OLD]).offering is OLD


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"constraints": [Constraint.SECURE]}, "SECURE"),
        ({"constraints": [Constraint.SINGLE_DEVICE]}, "SINGLE_DEVICE"),
        ({"gpu": "NVIDIA A40"}, "gpu=NVIDIA A40"),
        ({"num_gpus": 4}, "num_gpus=4"),
        ({"regions": ["EU-RO-1"]}, "EU-RO-1"),
        ({"max_usd_per_hour": 0.3}, "0.50 USD/h is above the maximum of 0.30"),
        ({"max_usd_per_hour": 0.6, "replicas": 3}, "1.50 USD/h is above"),
    ],
)
def test_wishes_rule_offerings_out_and_the_hint_names_what_would_do_without(wishes, said):
    offerings = [
        machine(count=2, secure=False, region="US-KS-2"),
        replace(SMALL, name="NVIDIA A40", secure=False),
    ]
    with pytest.raises(NothingFits) as caught:
        plan([LOAD], offerings, **wishes)
    assert said in caught.value.message
    assert "NVIDIA L4" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"availability": "none"}, "sold out"),
        ({"gpu_count": 3}, "not 3"),
        ({"name": "AMD MI300X", "compute_capability": None}, "NVIDIA"),
    ],
)
def test_what_cannot_be_had_or_used_is_rejected(change, said):
    made = plan([LOAD], [replace(L4, **change), LARGE])
    assert said in made.rejected[0].reason


def test_replicas_multiply_the_price_and_not_the_need():
    made = plan([LOAD], [L4], replicas=3)
    assert (made.count, made.usd_per_hour) == (3, 1.5)


def test_nothing_fits_tells_the_numbers_and_changes_that_would_do():
    with pytest.raises(NothingFits) as caught:
        plan([replace(LOAD, max_model_len=65536)], [L4, SMALL])
    error = caught.value
    assert error.needed_gib is not None
    assert error.largest_gib == 22.0
    assert "GiB are needed" in error.message
    assert error.hint is not None
    length = int(error.hint.split("max_model_len=")[1].split(";")[0])
    concurrency = int(error.hint.split("max_model_concurrency=")[1].rstrip("."))
    assert plan([replace(LOAD, max_model_len=length)], [L4]).offering is L4
    assert plan([replace(LOAD, max_model_len=65536, max_model_concurrency=concurrency)], [L4]).offering is L4
    for worse in (
        replace(LOAD, max_model_len=length + 1),
        replace(LOAD, max_model_len=65536, max_model_concurrency=concurrency + 1),
    ):
        with pytest.raises(NothingFits):
            plan([worse], [L4, SMALL])


def test_a_model_too_large_for_anything_says_so():
    giant = ModelRequest("giant", facts("deepseek-ai/DeepSeek-R1-0528"))
    with pytest.raises(NothingFits, match="giant") as caught:
        plan([giant], [L4])
    assert "smaller model" in (caught.value.hint or "")


def test_a_context_longer_than_the_models_is_refused():
    with pytest.raises(ArgumentInvalid, match="262144") as caught:
        ModelRequest("qwen", QWEN, max_model_len=262145)
    assert caught.value.argument == "max_model_len"


def test_an_unknown_gpu_is_refused_with_what_is_on_sale():
    with pytest.raises(ArgumentInvalid, match="RTX 9090") as caught:
        plan([LOAD], [L4], gpu="RTX 9090")
    assert "NVIDIA L4" in (caught.value.hint or "")


def test_no_models_and_no_offerings_are_errors():
    with pytest.raises(ArgumentInvalid):
        plan([], [L4])
    with pytest.raises(NothingFits, match="Nothing is on sale"):
        plan([LOAD], [])


def test_every_gpu_of_the_shipped_prices_has_a_name_that_can_be_asked_for():
    assert {o.name for o in catalog.offerings()} <= {gpu.value for gpu in GPUS}
