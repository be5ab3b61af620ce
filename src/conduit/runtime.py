"""``LMLiteBlock`` and ``VllmBlock``: an ``LMLite`` that starts to provision when it is constructed.

The names are those of users' documents; all else is ``LMLite``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from conduit.dataflow.language_model import LMLite
from conduit.lmlite import EngineName

__all__ = ["LMLite", "LMLiteBlock", "VllmBlock"]


class LMLiteBlock(LMLite):
    """An ``LMLite`` that brings its deployment up in the background from the start.

    ``ready`` turns true when all models of all replicas are, and raises what ended the start if it failed: a loop
    that waits for it ends either way.
    """

    if not TYPE_CHECKING:  # so that checkers see the parameters of LMLite

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.up(wait=False)


class VllmBlock(LMLiteBlock):
    """An ``LMLiteBlock`` whose models run on vLLM, those aside that name another engine."""

    default_engine: ClassVar[EngineName | None] = "vllm"
