"""Bytes of a checkpoint, counted tensor by tensor from its configuration: the check on the shipped catalog.

It is written apart from the planner, which never counts parameters, so that neither can hide the other's mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BIASED_QUERIES = ("qwen2", "glm", "gpt_oss")  # their queries, keys and values have a bias
_NORMED_HEADS = ("qwen3", "qwen3_moe", "gemma3_text")  # a norm for the queries' head and one for the keys'
_NORMS = {"gemma2": 4, "gemma3_text": 4, "cohere2": 1}  # of a layer; the others have 2


def checkpoint_bytes(config: Mapping[str, Any], *, embeddings: int | None = None) -> float:
    """Bytes of all tensors.

    Args:
        config: The content of ``config.json``.
        embeddings: How many of the two matrices of tokens are stored; by default as many as differ.
    """
    text = {**config, **config.get("text_config", {})}
    if embeddings is None:
        embeddings = 1 if text["tie_word_embeddings"] else 2
    tokens = embeddings * text["vocab_size"] * text["hidden_size"]
    linear, small = _layers(text)
    small += text["hidden_size"]
    if vision := config.get("vision_config"):
        small += _vision(vision, text["hidden_size"])
    extra_linear, extra_tokens = _next_token_layers(text)
    linear, tokens = linear + extra_linear, tokens + extra_tokens
    return 2 * (tokens + small) + linear * _bits(text) / 8


def _bits(text: Mapping[str, Any]) -> float:
    quantization = text.get("quantization_config")
    if quantization is None:
        return 16
    if quantization["quant_method"] == "fp8":
        return 8 + 16 / 128**2  # a scale for each block
    if quantization["quant_method"] == "mxfp4":
        return 4 + 8 / 32
    return 4 + (4 + 16) / quantization["group_size"]  # AWQ: a zero and a scale for each group


def _layers(text: Mapping[str, Any]) -> tuple[int, int]:
    """Numbers in the matrices that quantization touches, and in all others, of all layers."""
    linear = small = 0
    for index in range(text["num_hidden_layers"]):
        attention, beside = _attention(text)
        mlp, router = _mlp(text, index)
        linear += mlp
        small += beside + router + _NORMS.get(text["model_type"], 2) * text["hidden_size"]
        if text["model_type"] == "gpt_oss":  # only its experts are quantized
            small += attention
        else:
            linear += attention
    return linear, small


def _attention(text: Mapping[str, Any]) -> tuple[int, int]:
    hidden, heads = text["hidden_size"], text["num_attention_heads"]
    if "kv_lora_rank" in text:
        return _latent(text, hidden, heads)
    kv_heads = text["num_key_value_heads"]
    size = text.get("head_dim") or hidden // heads
    matrices = 2 * hidden * heads * size + 2 * hidden * kv_heads * size
    beside = 0
    if text["model_type"] in _BIASED_QUERIES:
        beside += (heads + 2 * kv_heads) * size
    if text["model_type"] in _NORMED_HEADS:
        beside += 2 * size
    if text["model_type"] == "olmo2":
        beside += (heads + kv_heads) * size
    if text["model_type"] == "gpt_oss":
        beside += hidden + heads  # the output's bias, and the sinks
    return matrices, beside


def _latent(text: Mapping[str, Any], hidden: int, heads: int) -> tuple[int, int]:
    rank, rope, nope = text["kv_lora_rank"], text["qk_rope_head_dim"], text["qk_nope_head_dim"]
    values, of_query = text["v_head_dim"], text["q_lora_rank"]
    query = hidden * heads * (nope + rope)
    if of_query is not None:
        query = hidden * of_query + of_query * heads * (nope + rope)
    keys = hidden * (rank + rope) + rank * heads * (nope + values)
    return query + keys + heads * values * hidden, rank + (of_query or 0)


def _mlp(text: Mapping[str, Any], index: int) -> tuple[int, int]:
    hidden = text["hidden_size"]
    experts = text.get("num_experts") or text.get("n_routed_experts") or text.get("num_local_experts")
    if experts is None or index < text.get("first_k_dense_replace", 0):
        return 3 * hidden * text["intermediate_size"], 0
    width = text.get("moe_intermediate_size", text["intermediate_size"])
    router = hidden * experts
    if text["model_type"] == "gpt_oss":
        router += experts + experts * (2 * width + hidden)  # biases
    return 3 * hidden * width * (experts + text.get("n_shared_experts", 0)), router


def _next_token_layers(text: Mapping[str, Any]) -> tuple[int, int]:
    """DeepSeek's layers that guess one token more, each with tokens' matrices of its own."""
    count = text.get("num_nextn_predict_layers", 0)
    linear, _ = _mlp(text, text["num_hidden_layers"])
    attention, _ = _attention(text)
    hidden = text["hidden_size"]
    return count * (linear + attention + 2 * hidden * hidden), count * 2 * text["vocab_size"] * hidden


def _vision(vision: Mapping[str, Any], hidden: int) -> int:
    """SigLIP's tower, and the projection to the text's vectors."""
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    patch = 3 * vision["patch_size"] ** 2
    attention = 4 * (width * width + width)
    mlp = 2 * width * inner + width + inner
    layers = vision["num_hidden_layers"] * (attention + mlp + 4 * width)
    return patch * width + width + patches * width + layers + 2 * width + width * hidden + width
