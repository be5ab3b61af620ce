"""Number types by their several names, their sizes, and the GPU generation that each needs."""

from __future__ import annotations

DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}

KV_BYTES = DTYPE_BYTES | {"fp8": 1}
"""Of one number of a key or a value."""

LEAST_CAPABILITY = {"float32": 0.0, "float16": 5.3, "bfloat16": 8.0, "fp8": 8.9}
"""NVIDIA compute capability with which the type can be calculated with."""

_NAMES = {
    "float32": "float32", "f32": "float32", "fp32": "float32", "float": "float32",
    "float16": "float16", "f16": "float16", "fp16": "float16", "half": "float16",
    "bfloat16": "bfloat16", "bf16": "bfloat16",
    "fp8": "fp8", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "float8_e4m3fn": "fp8",
}  # fmt: skip


def dtype_name(stated: str) -> str | None:
    """The one name of a number type that goes by several; None when its size is not known."""
    return _NAMES.get(stated.lower().removeprefix("torch."))
