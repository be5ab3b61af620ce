"""How many bytes of a model's weights lie on each GPU, from the bytes of its checkpoint."""

from __future__ import annotations

from math import ceil

from conduit.planner.facts.dtypes import DTYPE_BYTES
from conduit.planner.facts.quantization import bits_on_load
from conduit.planner.model_spec import ModelSpec

_PADDED = 256


def weights_bytes(spec: ModelSpec, *, tp: int, dtype: str, quantization: str | None) -> int:
    """Of the weights on one GPU of ``tp``.

    Args:
        spec: The model.
        tp: GPUs that hold it together.
        dtype: What unquantized weights are loaded to.
        quantization: What the engine is told to quantize to; a checkpoint that is quantized stays as it is.
    """
    whole = float(spec.checkpoint_bytes)
    if spec.stored_twice:
        whole -= spec.vocab_size * spec.hidden_size * DTYPE_BYTES[spec.dtype]
    if spec.quantization is None:
        whole *= DTYPE_BYTES[dtype] / DTYPE_BYTES[spec.dtype]
        bits = bits_on_load(quantization) if quantization else None
        if bits is not None:
            # What reads and answers tokens stays as it is.
            tokens = (
                spec.vocab_size * spec.hidden_size * DTYPE_BYTES[dtype] * (1 if spec.tied_embeddings else 2)
            )
            whole = min(whole, tokens + max(0.0, whole - tokens) * bits / (8 * DTYPE_BYTES[dtype]))
    elif spec.quantization.method == "mxfp4" and spec.experts is not None:
        # The kernels want the experts' sides in multiples of 256.
        whole *= ceil(spec.hidden_size / _PADDED) * _PADDED / spec.hidden_size
    return ceil(whole / tp + _copied(spec, tp))


def _copied(spec: ModelSpec, tp: int) -> float:
    """Projections of keys and values that GPUs cannot share out, because there are more GPUs than heads."""
    size = spec.weight_bits / 8
    copies = 0.0
    for group in spec.groups:
        too_much = ceil(group.kv_heads / tp) - group.kv_heads / tp
        copies += group.layers * spec.hidden_size * group.numbers * too_much * size
    return copies
