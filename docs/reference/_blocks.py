"""Lets the reference show a block that is bound to its name as a value, ``name = cast(…, block(…)(_name))``.

Its documentation stands at the function ``_name``; read from the source alone, ``name`` is a value without any.
"""

from __future__ import annotations

from typing import Any

import griffe


class BlocksByName(griffe.Extension):
    """Puts such a function under the block's name."""

    def on_module_members(self, *, mod: griffe.Module, **_: Any) -> None:
        """Called when a module has been read."""
        for name, member in list(mod.members.items()):
            function = mod.members.get(f"_{name}")
            if isinstance(member, griffe.Attribute) and isinstance(function, griffe.Function):
                function.name = name
                mod.set_member(name, function)
