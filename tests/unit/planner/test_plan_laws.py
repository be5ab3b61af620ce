"""What holds for every plan, whatever the models, the load and what is on sale."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from conduit.compute import Offering
from conduit.errors import NothingFits
from conduit.planner import ModelRequest, Plan, catalog, estimate, plan
from conduit.planner.placement import Placement, place

NAMES = [
    "Qwen/Qwen3-8B", "meta-llama/Llama-3.2-1B-Instruct", "google/gemma-3-4b-it", "openai/gpt-oss-20b",
    "deepseek-ai/DeepSeek-V2-Lite-Chat", "Qwen/Qwen3-30B-A3B", "HuggingFaceTB/SmolLM2-360M-Instruct",
]  # fmt: skip
SPECS = {name: spec for name in NAMES if (spec := catalog.facts(name)) is not None}


@st.composite
def requests(draw, most=3):
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=most, unique=True))
    return [
        ModelRequest(
            name,
            SPECS[name],
            draw(st.sampled_from(["sglang", "vllm", "mistralrs"])),
            draw(st.integers(1, 8192)),
            draw(st.integers(1, 128)),
        )
        for name in names
    ]


memories = st.floats(6.0, 200.0)


@st.composite
def offerings(draw):
    return [
        Offering(
            "p",
            f"gpu{i}",
            f"gpu{i}",
            draw(st.sampled_from([1, 2, 4, 8])),
            draw(memories),
            draw(st.floats(0.1, 10.0)),
            availability=draw(st.sampled_from(["none", "low", "medium", "high", "unknown"])),
        )
        for i in range(draw(st.integers(1, 6)))
    ]


def planned(models, on_sale) -> Plan | None:
    try:
        return plan(models, on_sale)
    except NothingFits:
        return None


def fits(models, memory_gib, count=1) -> bool:
    return isinstance(place(models, Offering("p", "g", "g", count, memory_gib, 1.0)), Placement)


@given(models=requests(), memory=memories, more=st.floats(0.0, 100.0))
def test_more_memory_never_fits_less(models, memory, more):
    assert fits(models, memory + more) or not fits(models, memory)


@given(models=requests(), memory=memories, longer=st.integers(0, 20000), more=st.integers(0, 100))
def test_a_larger_load_never_fits_where_a_smaller_one_does_not(models, memory, longer, more):
    first = models[0]
    grown = [
        replace(
            first,
            spec=replace(first.spec, max_context=None),
            max_model_len=first.max_model_len + longer,
            max_model_concurrency=first.max_model_concurrency + more,
        ),
        *models[1:],
    ]
    assert fits(models, memory) or not fits(grown, memory)


@settings(max_examples=60)
@given(models=requests(), on_sale=offerings())
def test_every_offering_is_a_candidate_or_rejected_with_a_reason_and_the_cheapest_is_chosen(models, on_sale):
    made = planned(models, on_sale)
    if made is None:
        return
    used = [c.offering for c in made.candidates]
    left = [r.offering for r in made.rejected]
    assert sorted(o.gpu for o in (*used, *left)) == sorted(o.gpu for o in on_sale)
    assert all(r.reason for r in made.rejected)
    assert made.offering.usd_per_hour == min(o.usd_per_hour for o in used)
    assert all(o.availability != "none" for o in used)


@settings(max_examples=60)
@given(models=requests(), memory=memories)
def test_shares_stay_within_the_gpu_and_hold_the_load_that_was_asked_for(models, memory):
    made = planned(models, [Offering("p", "g", "g", 1, memory, 1.0)])
    if made is None:
        return
    asked = {request.model_id: request for request in models}
    assert sum(model.share for model in made.models) <= 1
    for model in made.models:
        request = asked[model.model_id]
        found = estimate(
            request.spec,
            engine=request.engine,
            gpu_memory_gib=memory,
            context_len=request.max_model_len,
            concurrency=request.max_model_concurrency,
            mem_fraction=model.memory_fraction,
            taken_gib=model.taken_gib,
        )
        windowless = all(group.window is None for group in request.spec.groups)
        load = request.max_model_len * request.max_model_concurrency
        assert not windowless or model.kv_tokens >= load
        if model.memory_fraction is not None and request.engine == "sglang":
            assert model.kv_tokens <= (found.kv_tokens or 0)
