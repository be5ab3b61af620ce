"""Tells a function without a body, which a model answers, from one that does something itself."""

from __future__ import annotations

import dis
import inspect
from typing import Any

_IDLE = {
    "RESUME", "NOP", "CACHE", "RETURN_GENERATOR", "POP_TOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST",
    "LOAD_GLOBAL", "PUSH_NULL", "PRECALL", "CALL", "RAISE_VARARGS", "COPY_FREE_VARS",
    "CALL_INTRINSIC_1", "RERAISE", "NOT_TAKEN", "LOAD_COMMON_CONSTANT",
}  # fmt: skip


def has_body(function: Any) -> bool:
    """Whether a function does more than nothing or ``raise NotImplementedError``."""
    code = function.__code__
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        return True
    steps = list(dis.get_instructions(code))
    if any(step.opname not in _IDLE for step in steps):
        return True
    raises = any(step.opname == "RAISE_VARARGS" for step in steps)
    if raises:
        return any(step.opname == "LOAD_GLOBAL" and step.argval != "NotImplementedError" for step in steps)
    if any(step.opname in ("LOAD_GLOBAL", "CALL", "PRECALL") for step in steps):
        return True
    returned = [steps[i - 1] for i, step in enumerate(steps) if step.opname == "RETURN_VALUE" and i]
    returned += [step for step in steps if step.opname == "RETURN_CONST"]
    return any(step.argval is not None for step in returned)
