"""What one model takes of one GPU, by cause, and how many tokens the engine then has room for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from conduit.errors import ArgumentInvalid, ModelUnsupported
from conduit.planner.engines import profile
from conduit.planner.engines.base import GIB, Kept, Load, Room
from conduit.planner.facts.dtypes import DTYPE_BYTES, KV_BYTES, dtype_name
from conduit.planner.model_spec import ModelSpec
from conduit.planner.weights import weights_bytes

_CONTEXT_LEN = 4096  # for a model that does not state its own


@dataclass(frozen=True)
class Estimate:
    """Memory of one model on one GPU of the ``tp`` that hold it together.

    Attributes:
        engine: Whose rules were used.
        tp: GPUs that hold the model together.
        weights_bytes: Weights as the engine holds them.
        kv_bytes_per_token: Keys and values of one token over all layers, while no window is full.
        state_bytes: What layers keep of one request however long it is.
        kv_bytes: The pool that the requests need: all at once, at full length.
        overheads: Bytes beside these, by cause; empty without a GPU.
        mem_fraction: The engine's memory fraction; None without a GPU.
        kv_pool_bytes: The engine's pool at that fraction, below 0 where the weights have no room; None as above.
        kv_tokens: Tokens for which the pool has room however short the requests are (no window is full); None
            as above.
        bounded: Why less may be taken than is reckoned; None when it is exact.
    """

    engine: str
    tp: int
    weights_bytes: int
    kv_bytes_per_token: int
    state_bytes: int
    kv_bytes: int
    overheads: Mapping[str, int]
    mem_fraction: float | None
    kv_pool_bytes: int | None
    kv_tokens: int | None
    bounded: str | None

    @property
    def weights_gib(self) -> float:
        """Weights in GiB."""
        return self.weights_bytes / GIB

    @property
    def total_bytes(self) -> int:
        """All that the model needs of the GPU for its load."""
        return self.weights_bytes + self.kv_bytes + sum(self.overheads.values())


def estimate(
    spec: ModelSpec,
    *,
    engine: str = "sglang",
    gpu_memory_gib: float | None = None,
    tp: int = 1,
    mem_fraction: float | None = None,
    context_len: int | None = None,
    concurrency: int | None = None,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    quantization: str | None = None,
    taken_gib: float = 0.0,
) -> Estimate:
    """Reckons the memory of a model; what is not known exactly is reckoned so that capacity comes out too low.

    Args:
        spec: The model's facts.
        engine: ``sglang``, ``vllm`` or ``mistralrs``.
        gpu_memory_gib: Usable memory of one GPU; None where there is none, or it is not the question.
        tp: GPUs that hold the model together.
        mem_fraction: As the engine means it; None for the engine's default.
        context_len: Most tokens of one request; None for the model's own limit.
        concurrency: Most requests at a time; None for one, and the engine's own limit for what it reserves.
        dtype: Type of weights, keys and values; None for the engine's choice.
        kv_dtype: Type of keys and values where it is another (``fp8``).
        quantization: What the engine is to quantize to as it loads.
        taken_gib: What other processes hold of the GPU when the engine starts.

    Raises:
        ArgumentInvalid: A number is impossible, or the engine is not known.
        ModelUnsupported: The size of a number type is not known.
    """
    load = load_of(spec, tp, context_len, concurrency, dtype, kv_dtype, quantization, engine=engine)
    rules = profile(engine)
    overheads: Mapping[str, int] = {}
    pool = tokens = None
    if gpu_memory_gib is not None:
        room = _room(gpu_memory_gib, taken_gib)
        overheads = rules.overheads(load, room)
        mem_fraction = rules.default_fraction(load, room) if mem_fraction is None else _fraction(mem_fraction)
        pool = rules.pool(load, room, mem_fraction)
        tokens = rules.tokens(load, max(0, pool))
    return Estimate(
        engine=rules.name,
        tp=tp,
        weights_bytes=load.weights,
        kv_bytes_per_token=load.kept.token,
        state_bytes=load.kept.state + load.kept.cross,
        kv_bytes=rules.kept_bytes(load, concurrency or 1),
        overheads=overheads,
        mem_fraction=None if gpu_memory_gib is None else mem_fraction,
        kv_pool_bytes=pool,
        kv_tokens=tokens,
        bounded=spec.bounded,
    )


def load_of(
    spec: ModelSpec,
    tp: int,
    context_len: int | None,
    concurrency: int | None,
    dtype: str | None,
    kv_dtype: str | None,
    quantization: str | None,
    *,
    engine: str,
    tight: bool = False,
) -> Load:
    """What the engine is to run on one GPU.

    Raises:
        ArgumentInvalid: A number is impossible.
        ModelUnsupported: The size of a number type is not known.
    """
    limits = {"tp": tp, "context_len": context_len, "concurrency": concurrency}
    for name, value in limits.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ArgumentInvalid(
                f"{name} is {value!r}; it must be a whole number of at least 1.", argument=name
            )
    loaded = loaded_dtype(spec, dtype, engine)
    kv = _known(spec, kv_dtype, KV_BYTES) if kv_dtype not in (None, "auto") else loaded
    return Load(
        spec=spec,
        tp=tp,
        weights=weights_bytes(spec, tp=tp, dtype=loaded, quantization=quantization),
        kept=_kept(spec, tp, KV_BYTES[kv], DTYPE_BYTES[loaded]),
        context_len=context_len or spec.max_context or _CONTEXT_LEN,
        concurrency=concurrency,
        tight=tight,
    )


def loaded_dtype(spec: ModelSpec, dtype: str | None, engine: str) -> str:
    """The type that unquantized weights are loaded to.

    Raises:
        ModelUnsupported: Its size is not known.
    """
    if dtype is not None and dtype != "auto":
        return _known(spec, dtype, DTYPE_BYTES)
    # The programs for GPUs load a float32 checkpoint in 16 bits unless they are told otherwise.
    halved = spec.dtype == "float32" and engine != "mistralrs"
    return "float16" if halved else spec.dtype


def _known(spec: ModelSpec, stated: str | None, sizes: Mapping[str, int]) -> str:
    name = dtype_name(str(stated))
    if name is None or name not in sizes:
        raise ModelUnsupported(
            f"The memory of a model of type {spec.model_type} cannot be reckoned: the size of dtype {stated!r} is "
            "not known.",
            hint=f"Known: {', '.join(sizes)}.",
        )
    return name


def _kept(spec: ModelSpec, tp: int, kv_bytes: int, dtype_bytes: int) -> Kept:
    full = 0
    windowed: dict[int, int] = {}
    state = cross = 0
    for group in spec.groups:
        size = group.token_bytes(tp, kv_bytes)
        if group.kind == "window" and group.window is not None:
            windowed[group.window] = windowed.get(group.window, 0) + size
        elif group.kind == "cross":
            cross += size * (group.window or 0)
        else:
            full += size
        state += group.state_bytes(tp, dtype_bytes)
    return Kept(full, tuple(sorted(windowed.items())), state, cross)


def _room(gpu_memory_gib: float, taken_gib: float) -> Room:
    for name, value, least in (("gpu_memory_gib", gpu_memory_gib, 1e-3), ("taken_gib", taken_gib, 0.0)):
        if isinstance(value, bool) or not isfinite(value) or value < least:
            raise ArgumentInvalid(f"{name} is {value!r}; it must be a number of GiB.", argument=name)
    return Room(int(gpu_memory_gib * GIB), int(taken_gib * GIB))


def _fraction(value: float) -> float:
    if isinstance(value, bool) or not 0 < value <= 1:
        raise ArgumentInvalid(
            f"mem_fraction is {value!r}; it must lie above 0 and not above 1.", argument="mem_fraction"
        )
    return float(value)
