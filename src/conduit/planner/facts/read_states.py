"""Layers that keep a state of fixed size for a request: Mamba, RWKV, gated delta, short convolutions, and hybrids.

The recurrent part is counted in float32 and the convolution's in the model's type, which is the most that an
engine keeps.
"""

from __future__ import annotations

from collections.abc import Callable

from conduit.planner.facts.attention import Group
from conduit.planner.facts.fields import Fields

Sizes = tuple[int, int]
"""Numbers of one layer and request in the model's type, and in float32."""


def known(fields: Fields) -> bool:
    """Whether it is a model with states whose size is known."""
    return fields.model_type in _SIZES


def state(fields: Fields, layers: int) -> Group:
    """The group of the layers that keep a state.

    Raises:
        ModelUnsupported: A number is missing.
    """
    numbers, floats = _SIZES[fields.model_type](fields)
    return Group("state", layers, state_numbers=numbers, state_floats=floats)


def split(fields: Fields, layers: int) -> tuple[int, int]:
    """How many layers attend to tokens, and how many keep a state.

    Raises:
        ModelUnsupported: The configuration does not say it.
    """
    model_type = fields.model_type
    if model_type in ("mamba", "mamba2", "falcon_mamba", "rwkv5", "rwkv6", "rwkv7"):
        return 0, layers
    if model_type == "falcon_h1":  # both in each layer
        return layers, layers
    if "layer_types" in fields:
        kinds = fields.get("layer_types")[:layers]
        attending = sum(str(kind).endswith("attention") and kind != "linear_attention" for kind in kinds)
        return attending, layers - attending
    if "hybrid_override_pattern" in fields:  # Nemotron-H: M keeps a state, * attends, - does neither
        pattern = str(fields.get("hybrid_override_pattern"))
        return pattern.count("*"), pattern.count("M")
    if "full_attention_interval" in fields:
        attending = layers // fields.count("full_attention_interval")
        return attending, layers - attending
    for name in ("attn_layer_indices", "full_attn_idxs", "hybrid_layer_ids"):
        if isinstance(fields.get(name), list):
            return len(fields.get(name)), layers - len(fields.get(name))
    if "attn_layer_period" in fields:
        period, offset = fields.count("attn_layer_period"), int(fields.get("attn_layer_offset", 0))
        attending = sum(i % period == offset for i in range(layers))
        return attending, layers - attending
    if isinstance(fields.get("attn_type_list"), list):  # MiniMax: 1 attends
        attending = sum(kind == 1 for kind in fields.get("attn_type_list")[:layers])
        return attending, layers - attending
    nested = fields.get("linear_attn_config")
    if isinstance(nested, dict) and isinstance(nested.get("full_attn_layers"), list):
        return len(nested["full_attn_layers"]), layers - len(nested["full_attn_layers"])
    raise fields.refusal("its configuration does not say which layers attend and which keep a state")


def _gated_delta(fields: Fields) -> Sizes:
    keys = fields.count("linear_num_key_heads") * fields.count("linear_key_head_dim")
    heads, head_dim = fields.count("linear_num_value_heads"), fields.count("linear_value_head_dim")
    kernel = fields.count("linear_conv_kernel_dim")
    return (kernel - 1) * (2 * keys + heads * head_dim), heads * head_dim * fields.count(
        "linear_key_head_dim"
    )


def _mamba(fields: Fields) -> Sizes:
    hidden = fields.count("hidden_size", "d_model")
    inner = fields.count("intermediate_size", default=hidden * fields.count("expand", default=2))
    kernel = fields.count("conv_kernel", "d_conv", default=4)
    return (kernel - 1) * inner, inner * fields.count("state_size", "d_state", default=16)


def _jamba(fields: Fields) -> Sizes:
    inner = fields.count("hidden_size") * fields.count("mamba_expand", default=2)
    kernel = fields.count("mamba_d_conv", default=4)
    return (kernel - 1) * inner, inner * fields.count("mamba_d_state", default=16)


def _mamba2(fields: Fields) -> Sizes:
    heads = fields.count("mamba_n_heads", "mamba_num_heads", "num_heads")
    head_dim = fields.count("mamba_d_head", "mamba_head_dim", "mamba_headdim", "head_dim")
    states = fields.count("mamba_d_state", "ssm_state_size", "state_size")
    groups = fields.count("mamba_n_groups", "n_groups", "mamba_ngroups", default=1)
    kernel = fields.count("mamba_d_conv", "conv_kernel", default=4)
    inner = heads * head_dim
    return (kernel - 1) * (inner + 2 * groups * states), inner * states


def _short_convolution(fields: Fields) -> Sizes:
    return (fields.count("conv_L_cache") - 1) * fields.count("conv_dim", "hidden_size"), 0


def _kimi_linear(fields: Fields) -> Sizes:
    nested = fields.get("linear_attn_config")
    if not isinstance(nested, dict):
        raise fields.refusal("linear_attn_config is missing")
    own = Fields(nested, fields.model_type)
    heads, head_dim = own.count("num_heads"), own.count("head_dim")
    return (own.count("short_conv_kernel_size") - 1) * 3 * heads * head_dim, heads * head_dim * head_dim


def _lightning(fields: Fields) -> Sizes:
    heads = fields.count("num_attention_heads")
    head_dim = fields.count("head_dim", default=fields.count("hidden_size") // heads)
    return 0, heads * head_dim * head_dim


def _rwkv(fields: Fields) -> Sizes:
    hidden = fields.count("hidden_size")
    return 2 * hidden, hidden * fields.count("head_size", "head_dim", default=64)


_SIZES: dict[str, Callable[[Fields], Sizes]] = {
    **dict.fromkeys(
        ("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"), _gated_delta
    ),
    **dict.fromkeys(("mamba", "falcon_mamba"), _mamba),
    "jamba": _jamba,
    **dict.fromkeys(("mamba2", "bamba", "granitemoehybrid", "nemotron_h", "falcon_h1"), _mamba2),
    **dict.fromkeys(("lfm2", "lfm2_moe"), _short_convolution),
    "kimi_linear": _kimi_linear,
    **dict.fromkeys(("minimax_text_01", "minimax_m1", "minimax"), _lightning),
    **dict.fromkeys(("rwkv5", "rwkv6", "rwkv7"), _rwkv),
}
