"""Approval without a server: the form of a type, stand-ins for a person, and where nobody can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pydantic
import pytest
from typing_extensions import TypedDict

import conduit
from conduit.dataflow.approval_form import Form
from conduit.errors import ApprovalTimeout, ApprovalUnavailable, ArgumentInvalid
from conduit.testing import approving


class Shade(Enum):
    DARK = "dark"
    LIGHT = "light"


@dataclass
class Inner:
    text: str


@dataclass
class Refund:
    amount: Annotated[float, pydantic.Field(gt=0, description="In euros")]
    reason: Literal["broken", "late"] = "late"
    inner: Inner | None = None


class Model(pydantic.BaseModel):
    shade: Shade = pydantic.Field(alias="colour")


class Typed(TypedDict):
    number: int


def test_fields_of_a_type_are_fields_of_the_form() -> None:
    form = Form.of(Refund)
    assert form.schema["title"] == "Refund"
    assert list(form.schema["properties"]) == ["amount", "reason", "inner"]
    assert form.schema["required"] == ["amount"]
    assert form.schema["properties"]["amount"]["description"] == "In euros"
    assert form.schema["additionalProperties"] is False
    assert "Inner" in form.schema["definitions"]
    assert "$defs" not in form.schema


@pytest.mark.parametrize(
    ("type_", "answer", "value"),
    [
        (Refund, {"amount": 3, "inner": {"text": "x"}}, Refund(3.0, "late", Inner("x"))),
        (Model, {"colour": "dark"}, Model(colour=Shade.DARK)),
        (Typed, {"number": 3}, {"number": 3}),
        (bool, {"value": True}, True),
        (Literal["a", "b"], {"value": "b"}, "b"),
        (Shade, {"value": "light"}, Shade.LIGHT),
        (list[Inner], {"value": [{"text": "x"}]}, [Inner("x")]),
        (dict[str, int], {"value": {"a": 1}}, {"a": 1}),
    ],
)
def test_what_is_filled_in_comes_back_as_a_value(type_: Any, answer: Any, value: Any) -> None:
    form = Form.of(type_)
    assert set(form.schema["properties"]) >= set(answer)
    assert form.read(answer) == value


@pytest.mark.parametrize("answer", [None, {}, {"amount": -1}, {"amount": 1, "reason": "none"}])
def test_what_does_not_fit_is_no_value(answer: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        Form.of(Refund).read(answer)


@pytest.mark.parametrize("type_", [object(), asyncio.Lock, Callable[[], int]])
def test_a_type_that_no_form_can_ask_for_is_refused(type_: Any) -> None:
    with pytest.raises(ApprovalUnavailable, match="no form for"):
        asyncio.run(conduit.approve(type_))


def test_outside_a_flow_nobody_can_be_asked() -> None:
    with pytest.raises(ApprovalUnavailable, match="no flow run") as raised:
        conduit.approve_sync(bool)
    assert "conduit.testing.approving" in str(raised.value.hint)


def test_the_synchronous_form_is_refused_in_a_coroutine() -> None:
    async def flow() -> None:
        conduit.approve_sync(bool)

    with pytest.raises(ApprovalUnavailable, match="event loop"):
        asyncio.run(flow())


@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan")])
def test_a_time_limit_that_is_none_is_refused(timeout_s: float) -> None:
    with pytest.raises(ArgumentInvalid, match="timeout_s"):
        conduit.approve_sync(bool, timeout_s=timeout_s)


def test_a_stand_in_answers_and_tells_what_it_was_asked() -> None:
    with approving(Refund(2, "broken")) as stand_in:
        assert conduit.approve_sync(Refund, message="Pay?") == Refund(2, "broken")
        assert asyncio.run(conduit.approve(Refund)) == Refund(2, "broken")
    assert [(question.name, question.message) for question in stand_in.asked] == [
        ("Refund", "Pay?"),
        ("Refund", ""),
    ]


def test_a_stand_in_may_decide_and_may_raise() -> None:
    with approving(lambda question: question.message == "Sure?"):
        assert conduit.approve_sync(bool, message="Sure?") is True
        with approving(ApprovalTimeout("nobody", timeout_s=1)), pytest.raises(ApprovalTimeout):
            conduit.approve_sync(bool)
        assert conduit.approve_sync(bool, message="Really?") is False


def test_a_stand_ins_value_must_fit() -> None:
    with approving("perhaps"), pytest.raises(ArgumentInvalid, match="no Refund"):
        conduit.approve_sync(Refund)
