"""The content cache: results of calls, kept under what decides them.

A call with equal arguments of the same version of a block is looked up instead of made (``cached``); its result
lies in the data folder (``shelf``, ``index``, ``files``), for all processes of the user. Blocks say that they want
it; nothing is kept by itself, and a cache that cannot be used never fails a call.
"""

from __future__ import annotations

from conduit.dataflow.caching.cached import cached, cached_async
from conduit.dataflow.caching.opening import close, folder_of, open_shelf
from conduit.dataflow.caching.shelf import BlockEntries, Shelf

__all__ = ["BlockEntries", "Shelf", "cached", "cached_async", "close", "folder_of", "open_shelf"]
