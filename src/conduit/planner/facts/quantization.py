"""How a checkpoint's weights are quantized, and which GPUs can calculate with them.

The bytes of a quantized checkpoint are taken as they lie in the files: engines keep them in that form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conduit.planner.facts.fields import Fields

_LEAST_CAPABILITY = {
    "fp8": 8.9, "fbgemm_fp8": 8.9, "modelopt": 8.9, "modelopt_fp4": 10.0, "nvfp4": 10.0, "mxfp4": 9.0,
    "awq": 7.5, "awq_marlin": 8.0, "gptq": 7.5, "gptq_marlin": 8.0, "compressed-tensors": 8.0, "auto-round": 7.5,
    "bitsandbytes": 7.5, "int8": 7.5, "int4": 7.5, "gguf": 7.5, "w8a8_int8": 8.0, "w8a8_fp8": 8.9,
    "quark": 8.9, "hqq": 7.5, "aqlm": 7.0, "torchao": 8.9, "gemm_int8": 7.5,
}  # fmt: skip

_ON_LOAD = {
    "fp8": 8.0,
    "w8a8_fp8": 8.0,
    "bitsandbytes": 4.5,
    "int8": 8.0,
    "int4": 4.5,
    "q8_0": 8.5,
    "q4k": 4.5,
}
"""Bits of a weight, scales included, where an engine quantizes an unquantized checkpoint as it loads it."""


@dataclass(frozen=True)
class Quantization:
    """The form of a checkpoint's weights.

    Attributes:
        method: The configuration's own name of it.
        bits: Of one weight; None when it is not stated.
        least_capability: NVIDIA compute capability that its kernels need.
        block: Columns and rows that share a scale; a tensor-parallel part must be a multiple of it.
    """

    method: str
    bits: int | None
    least_capability: float
    block: int | None = None


def read(fields: Fields) -> Quantization | None:
    """The quantization that the configuration states; None for plain weights."""
    stated = fields.get("quantization_config") or fields.get("compression_config")
    if not isinstance(stated, Mapping) or not stated:
        return None
    method = str(stated.get("quant_method") or stated.get("quant_algo") or "not stated").lower()
    bits = _bits(stated)
    capability = _LEAST_CAPABILITY.get(method, 8.0)
    if method == "compressed-tensors":
        capability = _compressed_capability(stated, capability)
    block = stated.get("weight_block_size")
    return Quantization(
        method, bits, capability, int(block[0]) if isinstance(block, list | tuple) and block else None
    )


def bits_on_load(method: str) -> float | None:
    """Bits of a weight that an engine itself quantizes to as it loads; None where it does not."""
    return _ON_LOAD.get(method.lower())


def least_capability(method: str) -> float:
    """NVIDIA compute capability that a quantization's kernels need."""
    return _LEAST_CAPABILITY.get(method.lower(), 8.0)


def _bits(stated: Mapping[str, Any]) -> int | None:
    for name in ("bits", "w_bit", "weight_bits", "nbits"):
        if isinstance(stated.get(name), int):
            return int(stated[name])
    if stated.get("load_in_4bit") or stated.get("_load_in_4bit"):
        return 4
    if stated.get("load_in_8bit") or stated.get("_load_in_8bit"):
        return 8
    method = str(stated.get("quant_method") or stated.get("quant_algo") or "").lower()
    known = {"fp8": 8, "fbgemm_fp8": 8, "mxfp4": 4, "nvfp4": 4, "awq": 4}.get(method)
    return known if known is not None else next((_group_bits(g) for g in _groups(stated)), None)


def _groups(stated: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    groups = stated.get("config_groups")
    return [g for g in groups.values() if isinstance(g, Mapping)] if isinstance(groups, Mapping) else []


def _group_bits(group: Mapping[str, Any]) -> int | None:
    weights = group.get("weights")
    bits = weights.get("num_bits") if isinstance(weights, Mapping) else None
    return bits if isinstance(bits, int) else None


def _compressed_capability(stated: Mapping[str, Any], otherwise: float) -> float:
    kinds = {
        (weights.get("type"), weights.get("num_bits"))
        for group in _groups(stated)
        if isinstance(weights := group.get("weights"), Mapping)
    }
    if ("float", 4) in kinds:
        return 10.0
    return 8.9 if ("float", 8) in kinds else otherwise
