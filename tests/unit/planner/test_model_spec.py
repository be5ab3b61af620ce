"""A model's facts are read from its configuration, and what is not known is refused by name."""

from __future__ import annotations

import pytest

from conduit.errors import ModelUnsupported
from conduit.planner import ModelSpec, catalog
from conduit.planner.facts.attention import Group
from support.model_configurations import (
    DEEPSEEK_V3,
    GEMMA3_1B,
    GPT2,
    LLAMA_7B,
    QWEN3_4B,
    QWEN3_4B_BYTES,
    QWEN3_NEXT,
)


def read(config, checkpoint_bytes=10**9):
    return ModelSpec.from_config(config, checkpoint_bytes)


def token_bytes(config, tp=1):
    return sum(group.token_bytes(tp, 2) for group in read(config).groups)


def test_grouped_queries_keep_only_their_kv_heads():
    # 2 (key and value) x 36 layers x 8 kv heads x 128 numbers x 2 bytes = 144 KiB a token.
    assert token_bytes(QWEN3_4B) == 147_456


def test_multi_head_attention_without_head_dim_divides_the_hidden_size():
    assert read(LLAMA_7B).groups == (Group("full", 32, 32, 256),)


def test_gpt2_names_and_a_missing_dtype_mean_float32():
    spec = read(GPT2)
    assert spec.dtype == "float32"
    assert spec.groups == (Group("full", 12, 12, 128),)


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
@pytest.mark.parametrize(("stated", "name"), [("bfloat16", "bfloat16"), ("torch.float16", "float16")])
def test_dtype_is_read_under_both_of_its_names(key, stated, name):
    config = {k: v for k, v in QWEN3_4B.items() if k != "torch_dtype"} | {key: stated}
    assert read(config).dtype == name


def test_a_nested_text_config_is_the_language_model():
    nested = {
        "model_type": "qwen2_5_vl",
        "dtype": "bfloat16",
        "vision_config": {"num_hidden_layers": 99},
        "text_config": {k: v for k, v in QWEN3_4B.items() if k != "torch_dtype"},
    }
    assert read(nested) == read(QWEN3_4B)
    assert read({"thinker_config": nested}) == read(QWEN3_4B)


def test_kv_heads_are_copied_when_there_are_more_gpus_than_heads():
    config = QWEN3_4B | {"num_key_value_heads": 4}
    assert [token_bytes(config, tp) for tp in (1, 2, 4, 8)] == [73_728, 36_864, 18_432, 18_432]


def test_latent_attention_keeps_one_vector_for_a_token_on_every_gpu():
    # 61 layers x (512 + 64) numbers x 2 bytes, as DeepSeek's paper has it.
    assert [token_bytes(DEEPSEEK_V3, tp) for tp in (1, 8)] == [70_272, 70_272]


def test_deepseek_v32_keeps_an_indexer_key_beside_the_latent_vector():
    config = DEEPSEEK_V3 | {"model_type": "deepseek_v32", "index_head_dim": 128}
    assert token_bytes(config) == 70_272 + 61 * (128 + 4)


@pytest.mark.parametrize(
    ("change", "full", "windowed"),
    [
        ({}, 4, 22),
        ({"sliding_window_pattern": None}, 4, 22),
        ({"layer_types": ["sliding_attention", "full_attention"] * 13}, 13, 13),
        ({"model_type": "gemma2", "sliding_window_pattern": None}, 13, 13),
        ({"model_type": "exaone4", "sliding_window_pattern": "LLLG"}, 6, 20),
        ({"model_type": "mistral", "sliding_window_pattern": None}, 0, 26),
        ({"model_type": "llama4_text", "sliding_window": None, "attention_chunk_size": 8192,
          "no_rope_layers": [1, 1, 1, 0] * 6 + [1, 1]}, 6, 20),
        ({"sliding_window": 32768}, 26, 0),
    ],
)  # fmt: skip
def test_windowed_layers_are_told_from_full_ones(change, full, windowed):
    layers = {group.kind: group.layers for group in read(GEMMA3_1B | change).groups}
    assert (layers.get("full", 0), layers.get("window", 0)) == (full, windowed)


def test_a_window_that_is_switched_off_is_full_attention():
    off = {k: v for k, v in QWEN3_4B.items() if k != "use_sliding_window"} | {"sliding_window": 4096}
    assert read(off).groups == read(QWEN3_4B).groups
    on = QWEN3_4B | {"sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 30}
    assert {g.kind: g.layers for g in read(on).groups} == {"full": 30, "window": 6}


def test_layers_that_share_keys_are_counted_as_if_they_did_not_and_it_is_said():
    spec = read(GEMMA3_1B | {"model_type": "gemma3n_text", "num_kv_shared_layers": 10})
    assert sum(group.layers for group in spec.groups) == 26
    assert "share" in (spec.bounded or "")


def test_a_hybrid_keeps_a_state_in_the_layers_that_do_not_attend():
    full, state = read(QWEN3_NEXT).groups
    assert (full.layers, state.layers) == (12, 36)
    # Qwen3-Next: a convolution of 3 x 8192 numbers in 16 bits, and 32 heads of 128 x 128 in 32 bits.
    assert state.state_bytes(1, 2) == 36 * (3 * 8192 * 2 + 32 * 128 * 128 * 4)
    assert state.state_bytes(2, 2) == state.state_bytes(1, 2) // 2
    assert state.token_bytes(1, 2) == 0


@pytest.mark.parametrize(
    ("config", "attending", "keeping"),
    [
        ({"model_type": "jamba", "attn_layer_period": 8, "attn_layer_offset": 4, "num_hidden_layers": 32,
          "mamba_d_state": 16}, 4, 28),
        ({"model_type": "nemotron_h", "hybrid_override_pattern": "M-M*-M", "num_hidden_layers": 6,
          "mamba_num_heads": 128, "mamba_head_dim": 64, "ssm_state_size": 128, "n_groups": 8}, 1, 3),
        ({"model_type": "granitemoehybrid", "layer_types": ["mamba"] * 3 + ["attention"],
          "num_hidden_layers": 4, "mamba_n_heads": 48, "mamba_d_head": 64, "mamba_d_state": 128}, 1, 3),
        ({"model_type": "falcon_mamba", "state_size": 16, "num_hidden_layers": 64}, 0, 64),
        ({"model_type": "rwkv7", "num_hidden_layers": 24}, 0, 24),
        ({"model_type": "lfm2", "layer_types": ["conv", "full_attention"], "num_hidden_layers": 2,
          "conv_L_cache": 3}, 1, 1),
        ({"model_type": "falcon_h1", "num_hidden_layers": 4, "mamba_n_heads": 8, "mamba_d_head": 64,
          "mamba_d_state": 256}, 4, 4),
    ],
)  # fmt: skip
def test_hybrids_of_all_kinds_divide_their_layers(config, attending, keeping):
    layers = {group.kind: group.layers for group in read(QWEN3_4B | config).groups}
    assert (layers.get("full", 0), layers.get("state", 0)) == (attending, keeping)


def test_layers_that_attend_to_an_image_keep_its_tokens_and_no_others():
    config = QWEN3_4B | {
        "model_type": "mllama",
        "cross_attention_layers": [3, 8],
        "vision_config": {"image_size": 560, "patch_size": 14, "max_num_tiles": 4},
    }
    full, cross = read(config).groups
    assert (full.layers, cross.layers, cross.kept(10), cross.kept(10**6)) == (34, 2, 6404, 6404)


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ({"model_type": "brand_new"}, "brand_new"),
        ({"model_type": None}, "None"),
        ({"kv_lora_rank": 512}, "kv_lora_rank"),
        ({"full_attention_interval": 4}, "full_attention_interval"),
        ({"mamba_d_state": 16}, "mamba_d_state"),
        ({"is_encoder_decoder": True}, "encoder"),
        ({"sliding_window": 0.5, "use_sliding_window": True}, "0.5"),
        ({"layer_types": ["odd_attention"] * 36}, "odd_attention"),
        ({"layer_types": ["linear_attention"] * 36}, "state of unknown size"),
        ({"layer_types": ["full_attention"]}, "names 1 layers"),
        ({"num_hidden_layers": None}, "num_hidden_layers"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_hidden_layers": "36"}, "num_hidden_layers"),
        ({"num_key_value_heads": 5}, "5 kv heads"),
        ({"head_dim": None, "hidden_size": 2561}, "2561"),
        ({"hidden_size": None}, "hidden_size"),
        ({"torch_dtype": "float4_e2m1"}, "float4_e2m1"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_by_name(change, sign):
    with pytest.raises(ModelUnsupported, match=sign) as caught:
        read(QWEN3_4B | change)
    assert caught.value.hint


@pytest.mark.parametrize("checkpoint_bytes", [0, -1, True, 1.5])
def test_a_checkpoint_without_bytes_is_refused(checkpoint_bytes):
    with pytest.raises(ModelUnsupported, match="checkpoint"):
        read(QWEN3_4B, checkpoint_bytes)


def compressed(bits, kind):
    weights = {"num_bits": bits, "type": kind}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}


@pytest.mark.parametrize(
    ("stated", "method", "bits", "capability"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 8, 8.9),
        ({"quant_method": "awq", "bits": 4}, "awq", 4, 7.5),
        ({"quant_method": "gptq", "bits": 8}, "gptq", 8, 7.5),
        ({"quant_method": "mxfp4"}, "mxfp4", 4, 9.0),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes", 4, 7.5),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes", 8, 7.5),
        (compressed(4, "int"), "compressed-tensors", 4, 8.0),
        (compressed(8, "float"), "compressed-tensors", 8, 8.9),
        (compressed(4, "float"), "compressed-tensors", 4, 10.0),
    ],
)
def test_quantizations_are_read_with_the_gpus_that_they_need(stated, method, bits, capability):
    found = read(QWEN3_4B | {"quantization_config": stated}).quantization
    assert found is not None
    assert (found.method, found.bits, found.least_capability) == (method, bits, capability)


def test_a_stretched_context_counts():
    spec = read(
        QWEN3_4B | {"max_position_embeddings": 40960,
                    "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768}}
    )  # fmt: skip
    assert spec.max_context == 131072


def test_a_tied_matrix_that_the_files_hold_twice_is_found_out():
    tied = QWEN3_4B | {"tie_word_embeddings": True}
    twice = QWEN3_4B_BYTES + 151936 * 2560 * 2
    assert [read(tied, size).stored_twice for size in (QWEN3_4B_BYTES, twice)] == [False, True]
    assert not read(tied | {"tie_word_embeddings": False}, twice).stored_twice


def test_experts_are_told():
    spec = catalog.facts("Qwen/Qwen3-30B-A3B")
    assert spec is not None
    assert spec.experts is not None
    assert (spec.experts.count, spec.experts.per_token, spec.expert_width) == (128, 8, 768)
