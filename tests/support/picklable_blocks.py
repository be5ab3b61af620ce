"""Blocks at module level, as a user's module has them."""

from __future__ import annotations

import os

from conduit.dataflow import block


@block
def double(number: int) -> int:
    return number * 2


@block
def double_elsewhere(number: int) -> tuple[int, int]:
    return os.getpid(), number * 2


class Desk:
    @block
    def take(self, number: int) -> int:
        return number
