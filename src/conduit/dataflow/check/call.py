"""A call as it stands in a file, and how its arguments meet the parameters of what is called."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conduit.dataflow.check.notes import Notes
from conduit.dataflow.check.values import Value


@dataclass(frozen=True)
class Argument:
    """A value that is given, and where."""

    value: Value
    node: ast.AST


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        node: Where it stands.
        args: By position, up to the first ``*``.
        keywords: By name.
        spread: Whether ``*`` or ``**`` gives more than can be seen.
        repeated: Whether it stands in a loop of a flow over a list of unknown or of great length.
    """

    node: ast.Call
    args: Sequence[Argument]
    keywords: Mapping[str, Argument] = field(default_factory=dict)
    spread: bool = False
    repeated: bool = False

    def argument(self, name: str, place: int | None = None) -> Argument | None:
        """An argument by its name or place."""
        if name in self.keywords:
            return self.keywords[name]
        return self.args[place] if place is not None and place < len(self.args) else None

    @property
    def values(self) -> list[Value]:
        """What is given by position."""
        return [argument.value for argument in self.args]


Bound = list[tuple[inspect.Parameter, Argument]]


def bind(call: Call, name: str, parameters: Sequence[inspect.Parameter], notes: Notes) -> Bound:
    """Which parameter gets which argument; what does not go together is noted."""
    takes = f"{name}({', '.join(_shown(parameter) for parameter in parameters)})"
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    more = next((p for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    others = next((p for p in parameters if p.kind is p.VAR_KEYWORD), None)
    bound: Bound = []
    for place, argument in enumerate(call.args):
        if place < len(by_place):
            bound.append((by_place[place], argument))
        elif more is not None:
            bound.append((more, argument))
        else:
            most = f"{len(by_place)} argument{'' if len(by_place) == 1 else 's'} by position"
            notes.add(
                "check.arguments",
                argument.node,
                f"{name} takes {most}, and gets {len(call.args)}.",
                f"It is {takes}.",
            )
            break
    filled = {parameter.name for parameter, _ in bound}
    for word, argument in call.keywords.items():
        if word in named and word in filled:
            notes.add(
                "check.arguments", argument.node, f"{name} gets its argument {word} twice.", f"It is {takes}."
            )
        elif word in named or others is not None:
            bound.append((named.get(word) or others, argument))  # type: ignore[arg-type] # one of them is there
            filled.add(word)
        else:
            notes.add("check.arguments", argument.node, f"{name} has no parameter {word}.", f"It is {takes}.")
    missing = [
        p.name for p in (*by_place, *(q for q in named.values() if q.kind is q.KEYWORD_ONLY))
        if p.default is p.empty and p.name not in filled
    ]  # fmt: skip
    if missing and not call.spread:
        notes.add(
            "check.arguments", call.node, f"{name} is called without {', '.join(missing)}.", f"It is {takes}."
        )
    return bound


def _shown(parameter: inspect.Parameter) -> str:
    stars = (
        "*"
        if parameter.kind is parameter.VAR_POSITIONAL
        else "**"
        if parameter.kind is parameter.VAR_KEYWORD
        else ""
    )
    return f"{stars}{parameter.name}{'=…' if parameter.default is not parameter.empty else ''}"
