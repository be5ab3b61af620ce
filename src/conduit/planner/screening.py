"""Why an offering is out of the question, whatever its memory."""

from __future__ import annotations

from collections.abc import Sequence

from conduit.compute import Constraint, Offering
from conduit.planner.estimate import loaded_dtype
from conduit.planner.facts.dtypes import LEAST_CAPABILITY, dtype_name
from conduit.planner.facts.quantization import least_capability
from conduit.planner.request import ModelRequest, Wishes

PARALLEL = (1, 2, 4, 8)
"""Numbers of GPUs that may hold a model together."""


def unwanted(offering: Offering, wishes: Wishes) -> str | None:
    """Why the offering does not satisfy the wishes; None when it does."""
    if wishes.gpu is not None and wishes.gpu.lower() not in (offering.name.lower(), offering.gpu.lower()):
        return f"gpu={wishes.gpu} is asked for"
    if wishes.num_gpus is not None and offering.gpu_count != wishes.num_gpus:
        return f"num_gpus={wishes.num_gpus} is asked for"
    if Constraint.SINGLE_DEVICE in wishes.constraints and offering.gpu_count > 1:
        return "Constraint.SINGLE_DEVICE allows one GPU"
    if Constraint.SECURE in wishes.constraints and not offering.secure:
        return "Constraint.SECURE wants a data centre, and it stands at a private host's"
    if wishes.regions and offering.region is not None and offering.region not in wishes.regions:
        return f"it stands in {offering.region}, not in {', '.join(wishes.regions)}"
    usd = offering.usd_per_hour * wishes.replicas
    if wishes.max_usd_per_hour is not None and usd > wishes.max_usd_per_hour:
        return f"{usd:.2f} USD/h is above the maximum of {wishes.max_usd_per_hour:.2f}"
    if offering.availability == "none":
        return "it is sold out"
    if offering.gpu_count not in PARALLEL:
        return f"engines divide a model among {', '.join(map(str, PARALLEL))} GPUs, not {offering.gpu_count}"
    if offering.name.upper().startswith("AMD"):
        return "the server's image is for NVIDIA GPUs"
    return None


def unable(offering: Offering, requests: Sequence[ModelRequest]) -> str | None:
    """Why its GPUs cannot run one of the models; None when they can, or when what they can do is not known."""
    for request in requests:
        tp = parallel(request, offering)
        if tp > offering.gpu_count:
            return f"{request.model_id}: tensor_parallel={tp} needs as many GPUs, and it has {offering.gpu_count}"
        reason = _cannot_calculate(offering, request) or _cannot_divide(request, tp)
        if reason is not None:
            return f"{request.model_id}: {reason}"
    return None


def parallel(request: ModelRequest, offering: Offering) -> int:
    """GPUs of the machine that hold the model together."""
    if request.engine == "mistralrs":
        return 1
    return request.tensor_parallel or offering.gpu_count


def _cannot_calculate(offering: Offering, request: ModelRequest) -> str | None:
    has = offering.compute_capability
    if has is None:
        return None
    spec, needs = request.spec, {}
    if spec.quantization is not None:
        needs[spec.quantization.method] = spec.quantization.least_capability
    elif request.quantization is not None:
        needs[request.quantization] = least_capability(request.quantization)
    dtype = loaded_dtype(spec, request.dtype, request.engine)
    needs[dtype] = LEAST_CAPABILITY[dtype]
    if request.kv_dtype is not None and (name := dtype_name(request.kv_dtype)) is not None:
        needs[name] = LEAST_CAPABILITY[name]
    for what, least in needs.items():
        if has < least:
            instead = '; dtype="f16" would do' if what == "bfloat16" else ""
            return f"{what} needs compute capability {least}, and it has {has}{instead}"
    return None


def _cannot_divide(request: ModelRequest, tp: int) -> str | None:
    spec = request.spec
    if spec.attention_heads % tp:
        return f"its {spec.attention_heads} attention heads do not divide among {tp} GPUs"
    block = spec.quantization.block if spec.quantization is not None else None
    if block and spec.expert_width and (spec.expert_width % tp or spec.expert_width // tp % block):
        return f"its experts of width {spec.expert_width} do not divide among {tp} GPUs in blocks of {block}"
    return None
