"""From a configuration to its attention groups. Attention of a kind that is not known is refused.

Where a configuration leaves it open how little is kept, the most is counted, and ``bounded`` says so: capacity is
then reckoned too low, never too high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from conduit.planner.facts import read_states
from conduit.planner.facts.attention import Group
from conduit.planner.facts.fields import Fields

_FULL = frozenset(
    """
    apertus arcee aria_text baichuan bloom chatglm codegen cohere dbrx deepseek ernie4_5 ernie4_5_moe exaone falcon
    gemma glm glm4 glm4_moe glm4v_moe_text glm4v_text gpt2 gpt_bigcode gpt_neox gptj granite granitemoe
    granitemoeshared helium hunyuan_v1_dense hunyuan_v1_moe internlm internlm2 internlm3 internvl_chat llama mistral
    mistral3 mixtral minicpm mimo mpt nemotron olmo olmo2 olmoe opt orion persimmon phi phi3 phimoe qwen qwen2
    qwen2_5_vl qwen2_5_vl_text qwen2_moe qwen2_vl qwen2_vl_text qwen3 qwen3_moe qwen3_vl_moe_text qwen3_vl_text
    seed_oss smollm3 solar stablelm starcoder2 xverse yi
    """.split()
)

_WINDOWED = frozenset(
    """
    cohere2 cohere2_vision exaone4 gemma2 gemma3 gemma3_text gemma3n gemma3n_text gpt_oss llama4 llama4_text
    ministral ministral3 modernbert-decoder olmo3 phi3small
    """.split()
)

_LATENT = frozenset(
    "deepseek_v2 deepseek_v3 deepseek_v32 glm4_moe_lite kimi_k2 kimi_vl longcat_flash".split()
)

_OTHERS = frozenset({"mllama", "mllama_text_model", "mllama_text"})

_WINDOW_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "gemma3n": 5, "gemma3n_text": 5, "cohere2": 4,
                 "gpt_oss": 2}  # fmt: skip
"""Every how many layers one is not windowed, where the configuration does not say."""

_LAYER_KINDS = {
    "full_attention": "full", "attention": "full", "global": "full", "sliding_attention": "window",
    "chunked_attention": "window", "local": "window", "linear_attention": "state", "mamba": "state",
    "recurrent": "state", "conv": "state",
}  # fmt: skip

_SIGNS_OF_OTHERS = (
    "attn_layer_period", "attn_layer_indices", "full_attention_interval", "hybrid_override_pattern",
    "linear_attn_config", "mamba_d_state", "ssm_cfg", "state_size",
)  # fmt: skip
"""Fields that a configuration has only where some layers keep a state."""


@dataclass(frozen=True)
class Attention:
    """What the layers keep.

    Attributes:
        groups: Layers that keep alike.
        heads: Query heads a layer, which GPUs share out.
        bounded: Why less may be kept than is counted; None when the count is exact.
    """

    groups: tuple[Group, ...]
    heads: int
    bounded: str | None = None


def read(fields: Fields) -> Attention:
    """Reads the groups.

    Raises:
        ModelUnsupported: The attention is not known, or a number is missing or makes no sense.
    """
    model_type = fields.model_type
    if fields.get("is_encoder_decoder"):
        raise fields.refusal("it has an encoder and a decoder")
    if read_states.known(fields):
        return _with_states(fields)
    if sign := next((name for name in _SIGNS_OF_OTHERS if name in fields), None):
        raise fields.refusal(f"{sign} = {fields.get(sign)!r} means layers that keep a state of unknown size")
    if model_type in _LATENT:
        return Attention((_latent(fields, _layers(fields)),), _heads(fields))
    if "kv_lora_rank" in fields:
        raise fields.refusal(
            f"kv_lora_rank = {fields.get('kv_lora_rank')!r} means attention that is not known"
        )
    if model_type in _OTHERS:
        return _with_cross_attention(fields)
    if model_type not in _FULL | _WINDOWED:
        raise fields.refusal("its attention is not known")
    return _with_windows(fields)


def _layers(fields: Fields) -> int:
    return fields.count("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def _heads(fields: Fields) -> int:
    return fields.count("num_attention_heads", "n_head", "n_heads")


def _full(fields: Fields, layers: int) -> Group:
    heads = _heads(fields)
    kv_heads = _kv_heads(fields, heads)
    if heads % kv_heads:
        raise fields.refusal(f"{heads} attention heads do not divide among {kv_heads} kv heads")
    head_dim = _head_dim(fields, heads)
    values = fields.count("v_head_dim", default=head_dim)
    return Group("full", layers, kv_heads, head_dim + values)


def _kv_heads(fields: Fields, heads: int) -> int:
    if fields.model_type == "falcon" and "num_kv_heads" not in fields:
        # Falcon's first sizes share one key and value among all heads.
        return 1 if fields.get("multi_query") and not fields.get("new_decoder_architecture") else heads
    if fields.model_type == "gpt_bigcode":
        return 1 if fields.get("multi_query", True) else heads
    if fields.model_type == "chatglm" and fields.get("multi_query_attention"):
        return fields.count("multi_query_group_num")
    nested = fields.get("attn_config")
    if isinstance(nested, dict) and isinstance(nested.get("kv_n_heads"), int):
        return int(nested["kv_n_heads"])
    return fields.count("num_key_value_heads", "num_kv_heads", default=heads)


def _head_dim(fields: Fields, heads: int) -> int:
    if any(name in fields for name in ("head_dim", "kv_channels")):
        return fields.count("head_dim", "kv_channels")
    hidden = fields.count("hidden_size", "n_embd", "d_model")
    if hidden % heads:
        raise fields.refusal(f"hidden size {hidden} does not divide among {heads} heads")
    return hidden // heads


def _latent(fields: Fields, layers: int) -> Group:
    numbers = fields.count("kv_lora_rank") + fields.count("qk_rope_head_dim")
    # DeepSeek V3.2's indexer keeps one key of 8 bits for each token, and a scale for each 128 numbers of it.
    index = fields.count("index_head_dim") if "index_head_dim" in fields else 0
    doubled = 2 if fields.model_type == "longcat_flash" else 1  # two attentions in each layer
    return Group("latent", layers * doubled, 1, numbers, extra_bytes=index + index // 128 * 4)


def _with_windows(fields: Fields) -> Attention:
    layers = _layers(fields)
    window = _window(fields)
    if (kinds := fields.get("layer_types")) and "state" in _kinds(fields, kinds, layers):
        raise fields.refusal("some of its layers keep a state of unknown size")
    windowed = _windowed_layers(fields, layers) if window else 0
    full = _full(fields, layers)
    heads = _heads(fields)
    bounded = None
    if "num_kv_shared_layers" in fields:
        bounded = (
            f"{fields.get('num_kv_shared_layers')} layers share keys and values, which is not counted on"
        )
    groups = [replace(full, layers=layers - windowed)] if windowed < layers else []
    if windowed:
        groups.append(replace(full, kind="window", layers=windowed, window=window))
    return Attention(tuple(groups), heads, bounded)


def _window(fields: Fields) -> int | None:
    window = fields.get("sliding_window") or fields.get("attention_chunk_size")
    if window is None:
        return None
    # Qwen states a window that is off unless a second key turns it on; the others have one key.
    if not fields.get("use_sliding_window", not fields.model_type.startswith("qwen")):
        return None
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise fields.refusal(f"its window is {window!r}")
    context = fields.get("max_position_embeddings")
    return None if isinstance(context, int) and window >= context else window


def _windowed_layers(fields: Fields, layers: int) -> int:
    kinds = fields.get("layer_types")
    if kinds:
        return _kinds(fields, kinds, layers).count("window")
    pattern = fields.get("sliding_window_pattern") or fields.get("_sliding_window_pattern")
    if isinstance(pattern, str):  # EXAONE's "LLLG"
        return sum(pattern[i % len(pattern)] == "L" for i in range(layers))
    if isinstance(
        fields.get("no_rope_layers"), list
    ):  # Llama 4: where positions are rotated, attention is chunked
        return sum(1 for rotated in fields.get("no_rope_layers")[:layers] if rotated)
    every = pattern or _WINDOW_EVERY.get(fields.model_type)
    if every is not None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise fields.refusal(f"sliding_window_pattern is {every!r}")
        return layers - layers // every
    if fields.model_type.startswith("qwen"):
        below = fields.get("max_window_layers", layers)
        return max(0, layers - below) if isinstance(below, int) else 0
    if fields.model_type in _WINDOWED and fields.model_type.startswith("llama4"):
        return 0  # which layers are chunked is not stated: all are counted as full
    return layers


def _kinds(fields: Fields, kinds: Sequence[object], layers: int) -> list[str]:
    unknown = sorted({str(kind) for kind in kinds if kind not in _LAYER_KINDS})
    if unknown:
        raise fields.refusal(f"its layers are of {', '.join(unknown)}")
    if len(kinds) < layers:
        raise fields.refusal(f"layer_types names {len(kinds)} layers, and it has {layers}")
    return [_LAYER_KINDS[str(kind)] for kind in kinds[:layers]]


def _with_states(fields: Fields) -> Attention:
    layers = _layers(fields)
    if "layer_types" in fields:
        _kinds(fields, fields.get("layer_types"), layers)
    attending, keeping = read_states.split(fields, layers)
    groups: list[Group] = []
    heads = 1
    if attending:
        heads = _heads(fields)
        latent = "kv_lora_rank" in fields
        full = _latent(fields, attending) if latent else _full(fields, attending)
        groups.append(full)
    else:
        heads = fields.count("num_attention_heads", "n_head", default=1)
    if keeping:
        groups.append(read_states.state(fields, keeping))
    bounded = "window" if _window(fields) else None
    return Attention(
        tuple(groups), heads, bounded and "some layers keep only a window of tokens, which is not counted on"
    )


def _with_cross_attention(fields: Fields) -> Attention:
    layers = _layers(fields)
    crossing = fields.get("cross_attention_layers") or []
    if not isinstance(crossing, list) or len(crossing) >= layers:
        raise fields.refusal(f"cross_attention_layers is {crossing!r}")
    full = _full(fields, layers - len(crossing))
    if not crossing:
        return Attention((full,), _heads(fields))
    kept = _image_tokens(fields)
    cross = replace(full, kind="cross", layers=len(crossing), window=kept)
    return Attention((full, cross), _heads(fields))


def _image_tokens(fields: Fields) -> int:
    vision = fields.get("vision_config")
    if not isinstance(vision, dict):
        raise fields.refusal("its text attends to images, and vision_config does not say how large they are")
    of_image = Fields(vision, fields.model_type)
    patches = (of_image.count("image_size") // of_image.count("patch_size")) ** 2 + 1
    return of_image.count("max_num_tiles", default=1) * patches
