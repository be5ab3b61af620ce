"""Pydantic's features through decoding: none refused, no value rejected, no other let through.

For each feature two schemas are lowered and compiled with llguidance: the one that MDL makes from the type, and
pydantic's own. JSON that is a value must pass the mask; JSON that is none must be stopped by the mask or by
validation. Where a mask wants another spelling of a value (every field written, no exponent), the spelling is tried
and the case is listed; so is JSON that MDL does not ask for on purpose (fields that no one declared).

    uv run python bench/mdl_decode.py            # needs the extra `grammar`
"""

from __future__ import annotations

import decimal
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import llguidance
import pydantic
import pydantic_core
from _decode_feature import Feature
from _decode_records import FEATURES
from _report import report

from conduit import mdl
from conduit.errors import AnswerError, ConduitError


class _Bytes:
    """The least tokenizer: one token a byte."""

    eos_token_id = 256
    bos_token_id = None
    special_token_ids = (256,)
    tokens = (*(bytes([i]) for i in range(256)), b"<end>")

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


_OURS = "MDL"
_TOKENIZER = llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Bytes()))


class Mask:
    """A compiled schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
        self._matcher = llguidance.LLMatcher(_TOKENIZER, grammar, log_level=0)
        if self._matcher.is_error():
            raise ValueError(self._matcher.get_error())

    def accepts(self, text: str) -> bool:
        self._matcher.reset()
        taken = list(text.encode())
        return self._matcher.try_consume_tokens(taken) == len(taken) and self._matcher.is_accepting()


@dataclass
class Outcome:
    refused: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    respelled: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.refused or self.rejected or self.accepted)


def is_value(text: str, type_: Any) -> bool:
    """The validator's word, as every answer gets it."""
    try:
        mdl.parse(text, type_, strict=True)
    except AnswerError:
        return False
    return True


def spellings(text: str, type_: Any) -> Iterator[str]:
    """Other ways to write the same value: all fields, a named tuple by its names, a number without exponent."""
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(type_)
    value = adapter.validate_json(text)
    yield adapter.dump_json(value, by_alias=True).decode()
    if hasattr(value, "_asdict"):
        yield pydantic_core.to_json(value._asdict()).decode()
    yield without_exponents(text)


def without_exponents(text: str) -> str:
    value = json.loads(text, parse_float=decimal.Decimal)
    return f"{value:f}" if isinstance(value, decimal.Decimal) else text


def try_schema(kind: str, schema: dict[str, Any], feature: Feature, outcome: Outcome) -> None:
    where = f"{feature.name} ({kind})"
    try:
        mask = Mask(mdl.lower(schema, "llguidance").schema)
    except (ConduitError, ValueError) as error:
        outcome.refused.append(f"{where}: {error}")
        return
    for text in feature.valid:
        if mask.accepts(text):
            continue
        if kind == _OURS and text in feature.unasked:
            outcome.unasked.append(f"{where}: {text}")
            continue
        other = next((one for one in spellings(text, feature.type_) if mask.accepts(one)), None)
        if other is None or not is_value(other, feature.type_):
            outcome.rejected.append(f"{where}: {text}")
        else:
            outcome.respelled.append(f"{where}: {text} as {other}")
    outcome.accepted += [
        f"{where}: {text}" for text in feature.invalid if mask.accepts(text) and is_value(text, feature.type_)
    ]


def try_feature(feature: Feature) -> Outcome:
    outcome = Outcome()
    wrong = [text for text in feature.valid if not is_value(text, feature.type_)]
    wrong += [text for text in feature.invalid if is_value(text, feature.type_)]
    outcome.rejected += [f"{feature.name}: validation says otherwise of {text}" for text in wrong]
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(feature.type_)
    try_schema("pydantic's schema", adapter.json_schema(), feature, outcome)
    if feature.unsaid:
        return outcome
    try:
        ours = mdl.json_schema(feature.type_)
    except ConduitError as error:
        outcome.refused.append(f"{feature.name} (MDL): {error}")
        return outcome
    try_schema(_OURS, ours, feature, outcome)
    return outcome


def main() -> None:
    warnings.simplefilter("ignore")
    outcomes = {feature.name: try_feature(feature) for feature in FEATURES}
    respelled = [line for outcome in outcomes.values() for line in outcome.respelled]
    unasked = [line for outcome in outcomes.values() for line in outcome.unasked]
    for title, lines in (
        ("refused", [line for outcome in outcomes.values() for line in outcome.refused]),
        ("valid and rejected", [line for outcome in outcomes.values() for line in outcome.rejected]),
        ("invalid and accepted", [line for outcome in outcomes.values() for line in outcome.accepted]),
        ("accepted in another spelling", respelled),
        ("not asked for, on purpose", unasked),
    ):
        print(f"{title}: {len(lines)}", file=sys.stderr)
        for line in lines:
            print(f"  {line[:300]}", file=sys.stderr)
    good = sum(outcome.ok for outcome in outcomes.values())
    report(
        "mdl_decode",
        good / len(outcomes),
        1.0,
        "higher",
        features=len(outcomes),
        documents=sum(len(feature.valid) + len(feature.invalid) for feature in FEATURES),
        respelled=len(respelled),
        unasked=len(unasked),
        only_pydantics_schema=sum(feature.unsaid for feature in FEATURES),
    )


if __name__ == "__main__":
    main()
