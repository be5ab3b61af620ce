"""Names of fields and of choices, spelled in other ways; and where a spelling could mean two things."""

# ruff: noqa: E501 -- an answer is not broken over lines, and its odd characters are the point

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from support.defects.case import REFUSED, Case
from support.defects.subjects import (
    MOVE,
    Circle,
    Contact,
    Department,
    Drawing,
    Move,
    Patient,
    Reading,
    Rectangle,
    Review,
    Routing,
    Sky,
)

_ADA = Contact(
    full_name="Ada Lovelace",
    email="ada@example.org",
    phone_number="+44 20 1234",
    birth_date=dt.date(1815, 12, 10),
)


class Sizes(Enum):
    S = "small"
    M = "medium"
    L = "large"


class Priority(Enum):
    LOW = 1
    MIDDLE = 2
    HIGH = 3


class Task(BaseModel):
    title: str
    priority: Priority
    effort: Literal[1, 2, 3, 5, 8]


class Tagged(BaseModel):
    """Its field has another name in JSON."""

    row_count: Annotated[int, Field(alias="rowCount")]


def _contact(name: str, keys: tuple[str, str, str, str]) -> Case:
    values = ("Ada Lovelace", "ada@example.org", "+44 20 1234", "1815-12-10")
    inside = ", ".join(f'"{key}": "{value}"' for key, value in zip(keys, values, strict=True))
    return Case(name, Contact, f"{{{inside}}}", _ADA)


def _sky(name: str, written: str, sky: Any) -> Case:
    raw = f'{{"station": "Harbour", "celsius": 4.0, "humidity": 81, "sky": {written}}}'
    return Case(name, Reading, raw, sky if sky is REFUSED else Reading("Harbour", 4.0, 81, sky))


def _urgency(name: str, written: str, urgency: Any) -> Case:
    raw = f'{{"department": "sales", "urgency": {written}, "reason": "r"}}'
    return Case(name, Routing, raw, urgency if urgency is REFUSED else Routing("sales", urgency, "r"))


def _department(name: str, raw: str, department: Any) -> Case:
    return Case(name, Department, raw, department)


KEYS = (
    _contact("keys in camel case", ("fullName", "email", "phoneNumber", "birthDate")),
    _contact("keys in Pascal case", ("FullName", "Email", "PhoneNumber", "BirthDate")),
    _contact("keys with hyphens", ("full-name", "email", "phone-number", "birth-date")),
    _contact("keys with spaces", ("full name", "email", "phone number", "birth date")),
    _contact("keys as a title", ("Full Name", "Email", "Phone Number", "Birth Date")),
    _contact("keys in capitals", ("FULL_NAME", "EMAIL", "PHONE_NUMBER", "BIRTH_DATE")),
    _contact("keys run together", ("fullname", "email", "phonenumber", "birthdate")),
    _contact("keys with dots", ("full.name", "email", "phone.number", "birth.date")),
    _contact("keys with spaces around", (" full_name", "email ", " phone_number ", "birth_date ")),
    _contact("keys with asterisks", ("**full_name**", "**email**", "**phone_number**", "**birth_date**")),
    _contact("keys with a question mark", ("full_name?", "email?", "phone_number?", "birth_date?")),
    Case("keys in camel case of a typed dictionary", Move, '{"piece": "knight", "fromSquare": "g1", "toSquare": "f3", "isCapture": false}', MOVE),
    Case("the other name of a field", Tagged, '{"rowCount": 7,}', Tagged(rowCount=7)),
    Case("the Python name of a field with another name", Tagged, '{"row_count": 7}', Tagged(rowCount=7)),
    Case("a key more than asked", Move, '{"piece": "knight", "from_square": "g1", "to_square": "f3", "is_capture": false, "comment": "a fork",}', MOVE),
    Case("keys in another order", Move, '{"is_capture": false, "to_square": "f3", "from_square": "g1", "piece": "Knight"}', MOVE),
    Case("one field by two spellings, agreeing", Patient, '{"chart": "P-1", "age": 40, "Age": 40, "pulse": 70}', Patient(chart="P-1", age=40, pulse=70)),
    Case("one field by two spellings, contradicting", Contact, '{"fullName": "Ada Lovelace", "FullName": "Mary Somerville", "email": "ada@example.org", "phone_number": null, "birth_date": "1815-12-10"}', REFUSED),
    Case("a misspelt key", Move, '{"piece": "knight", "form_square": "g1", "to_square": "f3", "is_capture": false}', REFUSED),
    Case("a key by another word", Move, '{"figure": "knight", "from_square": "g1", "to_square": "f3", "is_capture": false}', REFUSED),
    Case("a required key left out", Review, '{"stars": 4, "sentiment": "positive", "quote": "q"}', REFUSED),
    Case("a required key left out, with slips besides", Review, "{stars: 4, 'sentiment': 'Positive', quote: 'q',}", REFUSED),
    Case("keys of another record", Review, '{"title": "x", "authors": [], "year": 1, "isbn": "1"}', REFUSED),
)  # fmt: skip

CHOICES = (
    _sky("a choice in capitals", '"OVERCAST"', Sky.OVERCAST),
    _sky("a choice with a capital", '"Overcast"', Sky.OVERCAST),
    _sky("a choice with a hyphen", '"partly-cloudy"', Sky.PARTLY_CLOUDY),
    _sky("a choice with an underscore", '"partly_cloudy"', Sky.PARTLY_CLOUDY),
    _sky("a choice in camel case", '"partlyCloudy"', Sky.PARTLY_CLOUDY),
    _sky("a choice as a title", '"Partly Cloudy"', Sky.PARTLY_CLOUDY),
    _sky("a choice by its member's name", '"PARTLY_CLOUDY"', Sky.PARTLY_CLOUDY),
    _sky("a choice by its qualified name", '"Sky.PARTLY_CLOUDY"', Sky.PARTLY_CLOUDY),
    _sky("a choice by its qualified name without quotes", "Sky.OVERCAST", Sky.OVERCAST),
    _sky("a choice by its repr", "<Sky.OVERCAST: 'overcast'>", Sky.OVERCAST),
    _sky("a choice with a full stop", '"overcast."', Sky.OVERCAST),
    _sky("a choice with spaces", '" overcast\\n"', Sky.OVERCAST),
    _sky("a choice in quotes within quotes", "\"'overcast'\"", Sky.OVERCAST),
    _sky("a choice in bold", '"**overcast**"', Sky.OVERCAST),
    _sky("a choice without quotes", "overcast", Sky.OVERCAST),
    _sky("a choice of two words without quotes", "partly cloudy", Sky.PARTLY_CLOUDY),
    _sky("a choice in a list", '["overcast"]', Sky.OVERCAST),
    _sky("a choice that is none", '"foggy"', REFUSED),
    _sky("a part of a choice", '"cloudy"', REFUSED),
    _sky("two choices", '"clear or overcast"', REFUSED),
    _sky("two choices by a slash", '"clear/overcast"', REFUSED),
    _sky("all choices", '"clear | partly cloudy | overcast"', REFUSED),
    _sky("two choices in a list", '["clear", "overcast"]', REFUSED),
    _sky("a choice denied", '"not clear"', REFUSED),
    _sky("a choice denied at length", '"it is not overcast at all"', REFUSED),
    _sky("no choice", '""', REFUSED),
    _sky("null for a choice", "null", REFUSED),
    _sky("a number for a choice", "2", REFUSED),
    _urgency("a literal in capitals", '"URGENT"', "urgent"),
    _urgency("a literal with a capital and a full stop", '"Normal."', "normal"),
    _urgency("a literal denied", '"not urgent"', REFUSED),
    _urgency("a literal denied in one word", '"non-urgent"', REFUSED),
    _urgency("a literal denied by a prefix", '"abnormal"', REFUSED),
    _urgency("a literal with an exclamation mark", '"urgent!"', "urgent"),
    Case("a choice by its member's name, where the value differs", Sizes, '"M"', Sizes.M),
    Case("a choice by its value in capitals", Sizes, '"LARGE"', Sizes.L),
    Case("a choice by neither", Sizes, '"XL"', REFUSED),
    Case("a number's choice by its name", Task, '{"title": "t", "priority": "HIGH", "effort": 5}', Task(title="t", priority=Priority.HIGH, effort=5)),
    Case("a number's choice in quotes", Task, '{"title": "t", "priority": "3", "effort": "5"}', Task(title="t", priority=Priority.HIGH, effort=5)),
    Case("a number's choice that is none", Task, '{"title": "t", "priority": 3, "effort": 4}', REFUSED),
    Case("a number's choice by half", Task, '{"title": "t", "priority": 2.5, "effort": 5}', REFUSED),
)  # fmt: skip

WORDS = (
    _department("a word alone", "billing", "billing"),
    _department("a word in quotes", '"billing"', "billing"),
    _department("a word in bold", "**billing**", "billing"),
    _department("a word after a label", "Answer: billing", "billing"),
    _department("a word after its own label", "Department: Billing", "billing"),
    _department("a word with a full stop", "Billing.", "billing"),
    _department("two words", "Technical Support", "technical support"),
    _department(
        "a word after thinking", "<think>Sales? No, they ask about a bill.</think>\n\nbilling", "billing"
    ),
    _department("a word in a fence", "```\nsales\n```", "sales"),
    _department("a word in a list", '["sales"]', "sales"),
    _department("a word in an object", '{"department": "sales"}', "sales"),
    _department("a sentence with one of the words", "The department is **sales**.", "sales"),
    _department("either of two words", "billing or sales", REFUSED),
    _department("a word denied", "This is not billing.", REFUSED),
    _department("no word of them", "I cannot tell from this message.", REFUSED),
    _department("another word", "legal", REFUSED),
    _department("nothing for a word", "", REFUSED),
)

UNIONS = (
    Case("a kind with a capital", Drawing, '{"shapes": [{"kind": "Circle", "radius": 2}]}', Drawing(shapes=[Circle(kind="circle", radius=2)])),
    Case("two kinds with slips", Drawing, "{shapes: [{kind: 'circle', radius: '2.5',}, {kind: 'RECTANGLE', width: 1, height: 2}]}", Drawing(shapes=[Circle(kind="circle", radius=2.5), Rectangle(kind="rectangle", width=1, height=2)])),
    Case("a kind that is none", Drawing, '{"shapes": [{"kind": "triangle", "a": 1, "b": 2, "c": 3}]}', REFUSED),
    Case("a kind with the fields of another", Drawing, '{"shapes": [{"kind": "circle", "width": 1, "height": 2}]}', REFUSED),
    Case("a union of plain values, a number", int | str, "42", 42),
    Case("a union of plain values, a text of digits", int | str, '"42"', "42"),
    Case("a union of a list and a text", list[str] | str, '["a", "b",]', ["a", "b"]),
    Case("a union of records by their fields", Rectangle | Review, "{'kind': 'rectangle', 'width': 1, 'height': 2}", Rectangle(kind="rectangle", width=1, height=2)),
    Case("a union that nothing fits", Circle | Rectangle, '{"kind": "square", "side": 2}', REFUSED),
)  # fmt: skip

CASES = (*KEYS, *CHOICES, *WORDS, *UNIONS)
