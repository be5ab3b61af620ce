"""The planner's arithmetic, checked against figures worked out by hand and against rules of the engines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import ArgumentInvalid, ModelUnsupported
from conduit.planner import ModelSpec, catalog, estimate
from support.model_configurations import (
    DEEPSEEK_V3,
    GEMMA3_1B,
    GPT2,
    LLAMA_7B,
    QWEN3_4B,
    QWEN3_4B_BYTES,
    QWEN3_NEXT,
)

GIB = 2**30
QWEN = ModelSpec.from_config(QWEN3_4B, QWEN3_4B_BYTES)
ENGINES = ["sglang", "vllm", "mistralrs"]


def test_without_a_gpu_only_the_model_is_reckoned():
    found = estimate(QWEN, engine="mistralrs", context_len=1400, concurrency=50)
    assert (found.weights_bytes, found.kv_bytes_per_token) == (QWEN3_4B_BYTES, 147_456)
    assert found.kv_bytes == 147_456 * 70_000
    assert found.total_bytes == QWEN3_4B_BYTES + 147_456 * 70_000
    assert (found.kv_tokens, found.kv_pool_bytes, found.mem_fraction) == (None, None, None)


def test_multi_head_attention_keeps_a_key_and_a_value_of_every_head():
    spec = ModelSpec.from_config(LLAMA_7B, 13_476_831_232)
    assert estimate(spec).kv_bytes_per_token == 524_288


def test_gpt2_in_float32_is_halved_by_the_engines_for_gpus_and_not_by_the_embedded_one():
    spec = ModelSpec.from_config(GPT2, 548_105_171)
    assert estimate(spec, engine="mistralrs").kv_bytes_per_token == 2 * 12 * 768 * 4
    assert estimate(spec, engine="sglang").kv_bytes_per_token == 2 * 12 * 768 * 2
    assert estimate(spec, engine="sglang").weights_bytes == pytest.approx(548_105_171 / 2, abs=1)


def test_loading_to_a_wider_type_doubles_weights_and_kv():
    own, wide = (estimate(QWEN, engine="mistralrs", context_len=7, dtype=dtype) for dtype in (None, "f32"))
    assert (wide.weights_bytes, wide.kv_bytes) == (2 * own.weights_bytes, 2 * own.kv_bytes)


def test_quantized_weights_stay_as_they_lie_in_the_files():
    spec = ModelSpec.from_config(QWEN3_4B | {"quantization_config": {"quant_method": "awq"}}, 10**9)
    assert estimate(spec, dtype="float32").weights_bytes == 10**9


def test_weights_that_the_engine_quantizes_shrink_except_for_the_tokens_matrices():
    eight = estimate(QWEN, quantization="fp8").weights_bytes
    tokens = 2 * 151936 * 2560 * 2
    assert eight == pytest.approx(tokens + (QWEN3_4B_BYTES - tokens) / 2, rel=1e-6)
    assert estimate(QWEN, quantization="never heard of").weights_bytes == QWEN3_4B_BYTES


def test_keys_and_values_in_8_bits_take_half():
    assert estimate(QWEN, kv_dtype="fp8").kv_bytes_per_token == 147_456 // 2


def test_gpus_share_out_weights_and_copy_what_they_cannot():
    whole, halves, eighths = (estimate(QWEN, tp=tp) for tp in (1, 2, 8))
    assert halves.weights_bytes == QWEN3_4B_BYTES // 2
    assert eighths.kv_bytes_per_token * 8 == whole.kv_bytes_per_token
    few_heads = ModelSpec.from_config(QWEN3_4B | {"num_key_value_heads": 4}, QWEN3_4B_BYTES)
    # Half a kv head more than its part on each of 8 GPUs, in 36 layers, keys and values of 128 numbers.
    extra = 36 * 2560 * 2 * 128 * 0.5 * 2
    assert estimate(few_heads, tp=8).weights_bytes == pytest.approx(QWEN3_4B_BYTES / 8 + extra, abs=1)


def test_experts_in_mxfp4_are_padded_to_what_the_kernels_want():
    spec = catalog.facts("openai/gpt-oss-120b")
    assert spec is not None
    # vLLM prints 64.38 GiB for files of 60.77 GiB (vllm-project/vllm#33155).
    assert estimate(spec).weights_gib == pytest.approx(64.38, rel=0.01)


def test_sglang_leaves_a_share_of_what_was_free_before_the_weights():
    found = estimate(QWEN, engine="sglang", gpu_memory_gib=79.1, mem_fraction=0.8, context_len=4096)
    assert found.kv_pool_bytes is not None
    free_before = 79.1 * GIB - found.overheads["context"]
    assert found.kv_pool_bytes == pytest.approx(free_before * 0.8 - QWEN3_4B_BYTES * 1.01, rel=1e-6)
    later = estimate(QWEN, engine="sglang", gpu_memory_gib=79.1, mem_fraction=0.8, taken_gib=10)
    assert found.kv_pool_bytes - (later.kv_pool_bytes or 0) == pytest.approx(8 * GIB, rel=1e-6)


def test_sglang_takes_its_own_default_fraction():
    # 512 MiB, 1.5 for each token of a step, 2 for each request of a graph, 128 for each GPU, as in its server_args.
    on_80 = 1 - (512 + 1.5 * 8192 + 2 * 256 + 128) / (79.1 * 1024)
    on_24 = 1 - (512 + 1.5 * 2048 + 2 * 24 + 128) / (23.5 * 1024)
    assert estimate(QWEN, gpu_memory_gib=79.1).mem_fraction == pytest.approx(on_80, abs=0.0006)
    assert estimate(QWEN, gpu_memory_gib=23.5).mem_fraction == pytest.approx(on_24, abs=0.0006)


def test_vllm_takes_a_share_of_the_whole_gpu_whatever_others_hold():
    alone = estimate(QWEN, engine="vllm", gpu_memory_gib=79.1, mem_fraction=0.5)
    beside = estimate(QWEN, engine="vllm", gpu_memory_gib=79.1, mem_fraction=0.5, taken_gib=30)
    assert alone == beside
    inside = sum(size for cause, size in alone.overheads.items() if cause != "context")
    assert alone.kv_pool_bytes == int(79.1 * GIB) // 2 - QWEN3_4B_BYTES - inside


@pytest.mark.parametrize(
    ("model", "gpu_memory_gib", "fraction", "length", "printed"),
    [
        # vllm-project/vllm#10517, #10511, #24577: what the engine itself printed.
        ("meta-llama/Llama-3.1-8B-Instruct", 23.58, 0.9, 20000, 31232),
        ("meta-llama/Llama-3.1-8B-Instruct", 79.22, 0.9, 8192, 53.29 * GIB / 131072),
        ("Qwen/Qwen3-0.6B", 79.25, 0.9, 4096, 652144),
    ],
)
def test_no_more_tokens_are_promised_than_the_engine_had(model, gpu_memory_gib, fraction, length, printed):
    spec = catalog.facts(model)
    assert spec is not None
    found = estimate(
        spec, engine="vllm", gpu_memory_gib=gpu_memory_gib, mem_fraction=fraction, context_len=length
    )
    assert found.kv_tokens is not None
    assert 0.6 * printed < found.kv_tokens <= 1.02 * printed


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_windows_save_memory_in_long_requests_and_promise_no_token_more(engine):
    spec = ModelSpec.from_config(GEMMA3_1B, 2 * 10**9)
    full = ModelSpec.from_config(GEMMA3_1B | {"sliding_window": None}, 2 * 10**9)
    long = {"engine": engine, "gpu_memory_gib": 22.0, "context_len": 32768, "concurrency": 8}
    assert estimate(spec, **long).kv_bytes < estimate(full, **long).kv_bytes
    assert estimate(spec, **long).kv_tokens == estimate(full, **long).kv_tokens


@pytest.mark.parametrize("engine", ENGINES)
def test_a_state_is_needed_for_every_request_however_short(engine):
    spec = ModelSpec.from_config(QWEN3_NEXT, 160 * 10**9)
    one, many = (
        estimate(spec, engine=engine, context_len=1, concurrency=concurrency) for concurrency in (1, 100)
    )
    assert one.state_bytes > 70 * 2**20
    assert many.kv_bytes >= 100 * one.state_bytes


@pytest.mark.parametrize("engine", ENGINES)
def test_a_gpu_that_is_too_small_has_room_for_no_token(engine):
    found = estimate(QWEN, engine=engine, gpu_memory_gib=4)
    assert found.kv_tokens == 0
    assert (found.kv_pool_bytes or 0) < 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"tp": 0}, "tp"),
        ({"context_len": 0}, "context_len"),
        ({"concurrency": True}, "concurrency"),
        ({"gpu_memory_gib": 0}, "gpu_memory_gib"),
        ({"gpu_memory_gib": float("nan")}, "gpu_memory_gib"),
        ({"gpu_memory_gib": 24, "mem_fraction": 0}, "mem_fraction"),
        ({"gpu_memory_gib": 24, "mem_fraction": 1.1}, "mem_fraction"),
        ({"gpu_memory_gib": 24, "taken_gib": -1}, "taken_gib"),
        ({"engine": "ollama"}, "engine"),
    ],
)
def test_impossible_numbers_are_refused_by_name(arguments, named):
    with pytest.raises(ArgumentInvalid, match=named) as caught:
        estimate(QWEN, **arguments)
    assert caught.value.argument == named


@pytest.mark.parametrize("dtypes", [{"dtype": "int3"}, {"kv_dtype": "int3"}, {"dtype": "fp8"}])
def test_a_type_of_unknown_size_is_refused(dtypes):
    with pytest.raises(ModelUnsupported, match="not known"):
        estimate(QWEN, **dtypes)


SPECS = [
    QWEN,
    ModelSpec.from_config(GEMMA3_1B, 2 * 10**9),
    ModelSpec.from_config(DEEPSEEK_V3, 10**10),
    ModelSpec.from_config(QWEN3_NEXT, 10**10),
]


@given(
    spec=st.sampled_from(SPECS),
    engine=st.sampled_from(ENGINES),
    length=st.integers(1, 10**6),
    longer=st.integers(0, 10**6),
    concurrency=st.integers(1, 512),
    more=st.integers(0, 512),
)
def test_longer_and_more_requests_never_need_less(spec, engine, length, longer, concurrency, more):
    small = estimate(spec, engine=engine, context_len=length, concurrency=concurrency)
    large = estimate(spec, engine=engine, context_len=length + longer, concurrency=concurrency + more)
    assert large.kv_bytes >= small.kv_bytes
    assert large.total_bytes >= small.total_bytes


@given(
    spec=st.sampled_from(SPECS),
    engine=st.sampled_from(ENGINES),
    fraction=st.floats(0.1, 1.0),
    higher=st.floats(0.0, 0.9),
    taken=st.floats(0.0, 40.0),
)
def test_a_higher_fraction_never_has_room_for_fewer_tokens(spec, engine, fraction, higher, taken):
    fractions = (fraction, min(1.0, fraction + higher))
    low, high = (
        estimate(spec, engine=engine, gpu_memory_gib=80.0, mem_fraction=f, taken_gib=taken).kv_tokens
        for f in fractions
    )
    assert low is not None
    assert high is not None
    assert high >= low
