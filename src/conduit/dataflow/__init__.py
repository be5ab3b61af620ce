"""Typed blocks and their way into Prefect flows.

This package validates calls, runs batches and shows both to Prefect. It runs no model and opens no connection; it
is the only package that imports Prefect, and that only in a flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conduit.dataflow.decorator import block
from conduit.dataflow.function_block import CoroutineBlock, FunctionBlock
from conduit.dataflow.futures import BlockFuture
from conduit.dataflow.generator_block import AsyncGeneratorBlock, GeneratorBlock
from conduit.dataflow.mapping import ItemFailure
from conduit.dataflow.server import require_server

if TYPE_CHECKING:
    from conduit.dataflow.language_model import LMLite

__all__ = [
    "AsyncGeneratorBlock",
    "BlockFuture",
    "CoroutineBlock",
    "FunctionBlock",
    "GeneratorBlock",
    "ItemFailure",
    "LMLite",
    "block",
    "require_server",
]


def __getattr__(name: str) -> Any:
    # Ready-made blocks need no resource of models, so they do not pay for its imports.
    if name == "LMLite":
        from conduit.dataflow.language_model import LMLite

        return LMLite
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
