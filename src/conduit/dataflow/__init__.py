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
from conduit.dataflow.mapping import ItemFailure
from conduit.dataflow.server import require_server

if TYPE_CHECKING:
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
    "StreamBlock",
    "block",
    "require_server",
]

_LAZY = {
    "AsyncStreamBlock": "conduit.dataflow.stream_block",
    "LMLite": "conduit.dataflow.language_model",
    "StreamBlock": "conduit.dataflow.stream_block",
}


def __getattr__(name: str) -> Any:
    # Ready-made blocks need no resource of models, so they do not pay for its imports.
    home = _LAZY.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
