"""Conduit: typed dataflows over open language models.

The names here are the public ones; each is loaded at its first use, so that ``import conduit`` costs next to
nothing and never loads Prefect. The error classes are in ``conduit.errors``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conduit.compute import GPUS, ComputeProvider, Constraint
    from conduit.dataflow import Ledger, LMLite, approve, approve_sync, block, on_rollback, transaction
    from conduit.errors import ConduitError
    from conduit.lmlite import ModelConfig, Routing, override

__all__ = [
    "GPUS",
    "ComputeProvider",
    "ConduitError",
    "Constraint",
    "LMLite",
    "Ledger",
    "ModelConfig",
    "Routing",
    "approve",
    "approve_sync",
    "block",
    "on_rollback",
    "override",
    "transaction",
]

_HOMES = {
    "GPUS": "conduit.compute",
    "ComputeProvider": "conduit.compute",
    "ConduitError": "conduit.errors",
    "Constraint": "conduit.compute",
    "LMLite": "conduit.dataflow",
    "Ledger": "conduit.dataflow",
    "ModelConfig": "conduit.lmlite",
    "Routing": "conduit.lmlite",
    "approve": "conduit.dataflow",
    "approve_sync": "conduit.dataflow",
    "block": "conduit.dataflow",
    "on_rollback": "conduit.dataflow",
    "override": "conduit.lmlite",
    "transaction": "conduit.dataflow",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
