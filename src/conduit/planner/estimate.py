"""How much memory one model takes on one replica: its weights, and the keys and values of its tokens.

What an engine takes beside these (activations, graphs, its own reserve) is not counted here.
"""

from __future__ import annotations

from dataclasses import dataclass

from conduit.errors import ConduitError
from conduit.planner.model_spec import ModelSpec, dtype_name

_DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Estimate:
    """Memory of one model on one replica.

    Attributes:
        weights_bytes: Weights as the engine holds them.
        kv_bytes_per_token: Keys and values of one token over all layers.
        kv_bytes: Keys and values when every request that may run at once is at its full length.
        total_bytes: Weights and keys and values.
    """

    weights_bytes: int
    kv_bytes_per_token: int
    kv_bytes: int
    total_bytes: int


def estimate(
    spec: ModelSpec, *, max_model_len: int, max_model_concurrency: int = 1, dtype: str | None = None
) -> Estimate:
    """Reckons the memory of a model.

    Args:
        spec: The model's facts.
        max_model_len: Most tokens of one request, prompt and completion.
        max_model_concurrency: Most requests that run at once.
        dtype: Type in which the engine holds weights, keys and values; None is the checkpoint's own.

    Raises:
        ModelUnsupported: The size of ``dtype`` is not known.
        ConduitError: A limit is below 1.
    """
    for name, value in (("max_model_len", max_model_len), ("max_model_concurrency", max_model_concurrency)):
        if value < 1:
            raise ConduitError(f"{name} is {value}; it must be at least 1.", hint=f"Set {name} to 1 or more.")
    loaded_bytes = _DTYPE_BYTES[dtype_name(spec.model_type, dtype) if dtype else spec.dtype]
    weights_bytes = spec.checkpoint_bytes
    if not spec.quantized:
        weights_bytes = weights_bytes * loaded_bytes // _DTYPE_BYTES[spec.dtype]
    kv_bytes_per_token = 2 * spec.layers * spec.kv_heads * spec.head_dim * loaded_bytes
    kv_bytes = kv_bytes_per_token * max_model_len * max_model_concurrency
    return Estimate(weights_bytes, kv_bytes_per_token, kv_bytes, weights_bytes + kv_bytes)
