"""The planner's arithmetic, checked against figures worked out by hand from published configurations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import ConduitError, ModelUnsupported
from conduit.planner import Estimate, ModelSpec, estimate

QWEN3_4B = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 2560,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 262144,
    "sliding_window": None,
    "use_sliding_window": False,
    "torch_dtype": "bfloat16",
}
LLAMA_7B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "torch_dtype": "float16",
}
GPT2 = {"model_type": "gpt2", "n_layer": 12, "n_head": 12, "n_embd": 768}


def test_grouped_queries_keep_only_their_kv_heads():
    spec = ModelSpec.from_config(QWEN3_4B, 8_044_936_192)
    # 2 (key and value) x 36 layers x 8 kv heads x 128 numbers x 2 bytes = 144 KiB a token.
    assert estimate(spec, max_model_len=1400, max_model_concurrency=50) == Estimate(
        weights_bytes=8_044_936_192,
        kv_bytes_per_token=147_456,
        kv_bytes=147_456 * 70_000,
        total_bytes=8_044_936_192 + 147_456 * 70_000,
    )


def test_multi_head_attention_without_head_dim_divides_the_hidden_size():
    spec = ModelSpec.from_config(LLAMA_7B, 13_476_831_232)
    assert (spec.kv_heads, spec.head_dim) == (32, 128)
    assert estimate(spec, max_model_len=1).kv_bytes_per_token == 524_288


def test_gpt2_names_and_a_missing_dtype_mean_float32():
    spec = ModelSpec.from_config(GPT2, 548_105_171)
    assert spec.dtype == "float32"
    assert estimate(spec, max_model_len=1).kv_bytes_per_token == 2 * 12 * 768 * 4


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
@pytest.mark.parametrize(("stated", "name"), [("bfloat16", "bfloat16"), ("torch.float16", "float16")])
def test_dtype_is_read_under_both_of_its_names(key: str, stated: str, name: str):
    config = {k: v for k, v in QWEN3_4B.items() if k != "torch_dtype"} | {key: stated}
    assert ModelSpec.from_config(config, 1).dtype == name


def test_a_nested_text_config_is_the_language_model():
    config = {
        "model_type": "qwen2_5_vl",
        "dtype": "bfloat16",
        "vision_config": {"num_hidden_layers": 99},
        "text_config": {k: v for k, v in QWEN3_4B.items() if k != "torch_dtype"},
    }
    assert ModelSpec.from_config(config, 5) == ModelSpec.from_config(QWEN3_4B, 5)


def test_loading_to_a_wider_type_doubles_weights_and_kv():
    spec = ModelSpec.from_config(QWEN3_4B, 1000)
    own, wide = (estimate(spec, max_model_len=7, dtype=dtype) for dtype in (None, "f32"))
    assert (wide.weights_bytes, wide.kv_bytes) == (2000, 2 * own.kv_bytes)


def test_quantized_weights_stay_as_they_lie_in_the_files():
    spec = ModelSpec.from_config(QWEN3_4B | {"quantization_config": {"quant_method": "awq"}}, 1000)
    assert estimate(spec, max_model_len=1, dtype="float32").weights_bytes == 1000


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ({"model_type": "brand_new"}, "brand_new"),
        ({"model_type": None}, "None"),
        ({"kv_lora_rank": 512}, "kv_lora_rank"),
        ({"full_attention_interval": 4}, "full_attention_interval"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding_attention"),
        ({"sliding_window": 4096, "use_sliding_window": True}, "4096"),
        ({"model_type": "mistral", "sliding_window": 4096, "use_sliding_window": True}, "4096"),
        ({"num_hidden_layers": None}, "num_hidden_layers"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_hidden_layers": "36"}, "num_hidden_layers"),
        ({"num_key_value_heads": 5}, "5 kv heads"),
        ({"head_dim": None, "hidden_size": 2561}, "2561"),
        ({"head_dim": None, "hidden_size": None}, "hidden_size"),
        ({"torch_dtype": "float4_e2m1"}, "float4_e2m1"),
    ],
)
def test_what_is_not_known_is_refused_by_name(change: dict[str, object], sign: str):
    with pytest.raises(ModelUnsupported, match=sign) as caught:
        ModelSpec.from_config(QWEN3_4B | change, 1000)
    assert caught.value.hint


def test_an_older_mistral_with_a_window_is_refused_and_one_without_is_not():
    mistral = LLAMA_7B | {"model_type": "mistral", "max_position_embeddings": 32768}
    assert ModelSpec.from_config(mistral | {"sliding_window": None}, 1).model_type == "mistral"
    with pytest.raises(ModelUnsupported, match="4096"):
        ModelSpec.from_config(mistral | {"sliding_window": 4096}, 1)


def test_a_window_that_is_switched_off_is_full_attention():
    qwen = {k: v for k, v in QWEN3_4B.items() if k != "use_sliding_window"} | {"sliding_window": 4096}
    assert ModelSpec.from_config(qwen, 1).layers == 36


@pytest.mark.parametrize("checkpoint_bytes", [0, -1, True])
def test_a_checkpoint_without_bytes_is_refused(checkpoint_bytes: int):
    with pytest.raises(ModelUnsupported, match="checkpoint"):
        ModelSpec.from_config(QWEN3_4B, checkpoint_bytes)


@pytest.mark.parametrize("limits", [{"max_model_len": 0}, {"max_model_len": 1, "max_model_concurrency": 0}])
def test_limits_below_one_are_refused(limits: dict[str, int]):
    with pytest.raises(ConduitError, match="at least 1"):
        estimate(ModelSpec.from_config(QWEN3_4B, 1), **limits)


@given(length=st.integers(1, 10**6), more=st.integers(0, 10**6), concurrency=st.integers(1, 512))
def test_more_tokens_never_need_less_memory(length: int, more: int, concurrency: int):
    spec = ModelSpec.from_config(QWEN3_4B, 10**9)
    small = estimate(spec, max_model_len=length, max_model_concurrency=concurrency)
    large = estimate(spec, max_model_len=length + more, max_model_concurrency=concurrency + more)
    assert large.total_bytes >= small.total_bytes
    assert small.total_bytes == small.weights_bytes + small.kv_bytes
