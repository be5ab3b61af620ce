"""Typed blocks and their way into Prefect flows.

This package validates calls, runs batches and shows both to Prefect. It runs no model and opens no connection; it
is the only package that imports Prefect, and that only in a flow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from conduit.dataflow.decorator import block
from conduit.dataflow.function_block import CoroutineBlock, FunctionBlock
from conduit.dataflow.futures import BlockFuture
from conduit.dataflow.generator_block import AsyncGeneratorBlock, GeneratorBlock
from conduit.dataflow.ledger import Ledger
from conduit.dataflow.mapping import ItemFailure, StoredResults
from conduit.dataflow.progress import MapObserver
from conduit.dataflow.server import require_server
from conduit.dataflow.transactions import on_rollback, transaction

if TYPE_CHECKING:
    from conduit.dataflow.approval import approve, approve_sync
    from conduit.dataflow.language_model import LMLite
    from conduit.dataflow.stream_block import AsyncStreamBlock, StreamBlock

__all__ = [
    "AsyncGeneratorBlock",
    "AsyncStreamBlock",
    "BlockFuture",
    "CoroutineBlock",
    "FunctionBlock",
    "GeneratorBlock",
    "ItemFailure",
    "LMLite",
    "Ledger",
    "MapObserver",
    "StoredResults",
    "StreamBlock",
    "approve",
    "approve_sync",
    "block",
    "on_rollback",
    "require_server",
    "transaction",
]

_LAZY = {
    "AsyncStreamBlock": "conduit.dataflow.stream_block",
    "LMLite": "conduit.dataflow.language_model",
    "StreamBlock": "conduit.dataflow.stream_block",
    "approve": "conduit.dataflow.approval",
    "approve_sync": "conduit.dataflow.approval",
}


def __getattr__(name: str) -> Any:
    # Ready-made blocks need no resource of models, so they do not pay for its imports.
    home = _LAZY.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
