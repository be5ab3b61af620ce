"""The facts of a model that decide its memory, read from its ``config.json``. It fetches and opens nothing.

Only attention that keeps one key and one value vector for each token, layer and kv head is known. A model
with another kind (sliding window, latent, state space) or of a type that is not listed is refused: a guess
that is too low would end in an engine that runs out of memory under load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conduit.errors import ModelUnsupported

_FULL_ATTENTION = frozenset(
    {
        "apertus", "cohere", "ernie4_5", "exaone", "gemma", "glm", "glm4", "gpt2", "gpt_neox", "granite",
        "granitemoe", "helium", "llama", "mistral", "mixtral", "nemotron", "olmo", "olmo2", "olmoe", "phi",
        "phi3", "qwen2", "qwen2_5_vl", "qwen2_5_vl_text", "qwen2_moe", "qwen2_vl", "qwen2_vl_text", "qwen3",
        "qwen3_moe", "qwen3_vl_moe_text", "qwen3_vl_text", "smollm3", "stablelm", "starcoder2",
    }
)  # fmt: skip

# Keys that a configuration has only where some layers keep something else than full keys and values.
_OTHER_ATTENTION = (
    "attention_chunk_size",
    "attn_layer_period",
    "cross_attention_layers",
    "full_attention_interval",
    "kv_lora_rank",
    "linear_num_key_heads",
    "mamba_d_state",
    "num_kv_shared_layers",
    "ssm_cfg",
    "state_size",
)

_DTYPES = {
    "float32": "float32", "f32": "float32", "fp32": "float32", "float": "float32",
    "float16": "float16", "f16": "float16", "fp16": "float16", "half": "float16",
    "bfloat16": "bfloat16", "bf16": "bfloat16",
}  # fmt: skip


@dataclass(frozen=True)
class ModelSpec:
    """What of a model decides its memory.

    Attributes:
        model_type: The configuration's own name of the architecture.
        layers: Layers that keep keys and values.
        attention_heads: Query heads a layer.
        kv_heads: Key and value heads a layer; fewer than ``attention_heads`` with grouped queries.
        head_dim: Numbers in one head.
        dtype: Type of the unquantized numbers as the checkpoint states it: float32, float16 or bfloat16.
        quantized: The weights are stored in another form than ``dtype``.
        checkpoint_bytes: Bytes of the weight tensors as they lie in the files.
    """

    model_type: str
    layers: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    dtype: str
    quantized: bool
    checkpoint_bytes: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any], checkpoint_bytes: int) -> ModelSpec:
        """Reads the facts from the content of a ``config.json``.

        Args:
            config: The configuration; that of a multimodal model may nest the language model's under
                ``text_config``.
            checkpoint_bytes: Bytes of the weight tensors, never parameters times a type's size.

        Raises:
            ModelUnsupported: The attention is not known, or a number is missing or makes no sense.
        """
        nested = config.get("text_config")
        text = {**config, **nested} if isinstance(nested, Mapping) else dict(config)
        model_type = str(text.get("model_type", "not stated"))
        _check_attention(model_type, text)
        if isinstance(checkpoint_bytes, bool) or checkpoint_bytes < 1:
            raise _unsupported(model_type, f"its checkpoint has {checkpoint_bytes} bytes")
        heads = _count(model_type, text, "num_attention_heads", "n_head")
        kv_heads = _count(model_type, text, "num_key_value_heads", default=heads)
        if heads % kv_heads:
            raise _unsupported(model_type, f"{heads} attention heads do not divide among {kv_heads} kv heads")
        # A type that is not stated means float32 in the Hugging Face format.
        stated = text.get("dtype") or text.get("torch_dtype") or "float32"
        return cls(
            model_type=model_type,
            layers=_count(model_type, text, "num_hidden_layers", "n_layer"),
            attention_heads=heads,
            kv_heads=kv_heads,
            head_dim=_head_dim(model_type, text, heads),
            dtype=dtype_name(model_type, str(stated)),
            quantized=bool(text.get("quantization_config")),
            checkpoint_bytes=checkpoint_bytes,
        )


def dtype_name(model_type: str, stated: str) -> str:
    """The one name of a number type that goes by several.

    Raises:
        ModelUnsupported: Its size is not known.
    """
    name = _DTYPES.get(stated.lower().removeprefix("torch."))
    if name is None:
        raise _unsupported(model_type, f"the size of dtype {stated!r} is not known")
    return name


def _check_attention(model_type: str, text: Mapping[str, Any]) -> None:
    for key in _OTHER_ATTENTION:
        if text.get(key) is not None:
            raise _unsupported(model_type, f"{key} = {text[key]!r} means attention that is not full")
    kinds = text.get("layer_types")
    if kinds and set(kinds) != {"full_attention"}:
        raise _unsupported(model_type, f"its layers are of {', '.join(sorted(set(map(str, kinds))))}")
    if model_type not in _FULL_ATTENTION:
        raise _unsupported(model_type, "its attention is not known")
    window = text.get("sliding_window")
    # Qwen states a window that is off unless a second key turns it on; the others have one key.
    in_use = text.get("use_sliding_window", not model_type.startswith("qwen"))
    if window is not None and in_use and not kinds:
        context = text.get("max_position_embeddings")
        if not isinstance(context, int) or window < context:
            raise _unsupported(model_type, f"it attends to a sliding window of {window} tokens")


def _head_dim(model_type: str, text: Mapping[str, Any], heads: int) -> int:
    if text.get("head_dim") is not None:
        return _count(model_type, text, "head_dim")
    hidden = _count(model_type, text, "hidden_size", "n_embd")
    if hidden % heads:
        raise _unsupported(model_type, f"hidden size {hidden} does not divide among {heads} heads")
    return hidden // heads


def _count(model_type: str, text: Mapping[str, Any], *names: str, default: int | None = None) -> int:
    value = next((text[name] for name in names if text.get(name) is not None), default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _unsupported(model_type, f"{names[0]} is {value!r} in its config.json")
    return value


def _unsupported(model_type: str, reason: str) -> ModelUnsupported:
    return ModelUnsupported(
        f"The memory of a model of type {model_type} cannot be reckoned: {reason}.",
        hint="Use a model with full attention (Llama, Mistral, Qwen2, Qwen3, …), or correct its config.json.",
    )
