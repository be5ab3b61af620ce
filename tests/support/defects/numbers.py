"""Numbers and literals as other languages and people write them, and where that loses something."""

# ruff: noqa: E501, RUF001 -- an answer is not broken over lines, and its odd characters are the point

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

from support.defects.case import REFUSED, Case
from support.defects.subjects import BOOK, Book, Host, Line, Patient, Reading, Review, Sky, Transfer


def _celsius(name: str, written: str, celsius: Any) -> Case:
    raw = f'{{"station": "Harbour", "celsius": {written}, "humidity": 81, "sky": "clear"}}'
    value = celsius if celsius is REFUSED else Reading("Harbour", celsius, 81, Sky.CLEAR)
    return Case(name, Reading, raw, value)


def _humidity(name: str, written: str, humidity: Any) -> Case:
    raw = f'{{"station": "Harbour", "celsius": 4.0, "humidity": {written}, "sky": "clear"}}'
    value = humidity if humidity is REFUSED else Reading("Harbour", 4.0, humidity, Sky.CLEAR)
    return Case(name, Reading, raw, value)


def _port(name: str, written: str, port: Any) -> Case:
    raw = f'{{"hostname": "h", "port": {written}, "tags": ["a"], "limits": {{}}}}'
    return Case(name, Host, raw, port if port is REFUSED else Host("h", port, {"a"}, {}))


def _pulse(name: str, written: str, pulse: Any) -> Case:
    raw = f'{{"chart": "P-1", "age": 40, "pulse": {written}, "allergies": [], "smoker": false}}'
    return Case(name, Patient, raw, pulse if pulse is REFUSED else Patient(chart="P-1", age=40, pulse=pulse))


def _smoker(name: str, written: str, smoker: Any) -> Case:
    raw = f'{{"chart": "P-1", "age": 40, "pulse": 70, "allergies": [], "smoker": {written}}}'
    value = smoker if smoker is REFUSED else Patient(chart="P-1", age=40, pulse=70, smoker=smoker)
    return Case(name, Patient, raw, value)


def _transfer(amount: str) -> Transfer:
    return Transfer(
        reference=uuid.UUID("c0ffee00-1111-4222-8333-444455556666"),
        amount=Decimal(amount),
        iban="X",
        executed_at=dt.datetime(2024, 3, 5, 10, tzinfo=dt.UTC),
    )


def _isbn(name: str, written: str, isbn: Any) -> Case:
    raw = f'{{"title": "Persuasion", "authors": ["Jane Austen"], "year": 1817, "isbn": {written}}}'
    return Case(name, Book, raw, isbn if isbn is REFUSED else Book("Persuasion", ["Jane Austen"], 1817, isbn))


NOTATION = (
    _celsius("a plus sign", "+1.5", 1.5),
    _celsius("no digit before the point", ".5", 0.5),
    _celsius("no digit before the point, negative", "-.5", -0.5),
    _celsius("no digit after the point", "5.", 5.0),
    _celsius("a whole number for a float", "5", 5.0),
    _celsius("an exponent", "1.2E1", 12.0),
    _celsius("the minus sign of typography", "−3.5", -3.5),
    _celsius("a number in quotes", '"-3.5"', -3.5),
    _celsius("a number in quotes with spaces", '" -3.5 "', -3.5),
    _celsius("a number in single quotes", "'-3.5'", -3.5),
    _port("underscores in a number", "5_432", 5432),
    _port("a hexadecimal number", "0x1538", 5432),
    _port("a leading zero", "05432", 5432),
    _port("a comma for thousands in quotes", '"5,432"', 5432),
    _port("a comma for thousands", "5,432", 5432),
    _port("a space for thousands in quotes", '"5 432"', 5432),
    _port("a whole float", "5432.0", 5432),
    _port("a whole float in quotes", '"5432.0"', 5432),
    _port("an exponent for an integer", "5e3", 5000),
    _port("full-width digits", "５４３２", 5432),
    _humidity("a percent sign", "81%", 81),
    _humidity("a percent sign in quotes", '"81%"', 81),
    _humidity("a percent sign after a space", '"81 %"', 81),
    Case("a price in dollars", Line, '{"item": "Desk", "quantity": 1, "unit_price": "$1,200.50"}', Line(item="Desk", quantity=1, unit_price=1200.5)),
    Case("a price in dollars without quotes", Line, '{"item": "Desk", "quantity": 1, "unit_price": $1200.50}', Line(item="Desk", quantity=1, unit_price=1200.5)),
    Case("a price in euros", Line, '{"item": "Desk", "quantity": 1, "unit_price": "1200.50 €"}', Line(item="Desk", quantity=1, unit_price=1200.5)),
    Case("a price with the code of its currency", Line, '{"item": "Desk", "quantity": 1, "unit_price": "USD 1,200.50"}', Line(item="Desk", quantity=1, unit_price=1200.5)),
    Case("a million with commas", dict[str, int], '{"Lyon": "1,700,000", "Metz": 120,000}', {"Lyon": 1700000, "Metz": 120000}),
    Case("a fraction of a cent is kept", Line, '{"item": "Pin", "quantity": "12", "unit_price": "0.0375"}', Line(item="Pin", quantity=12, unit_price=0.0375)),
    Case("a whole number for an amount", Transfer, '{"reference": "c0ffee00-1111-4222-8333-444455556666", "amount": 1250, "iban": "X", "executed_at": "2024-03-05T10:00:00Z",}', _transfer("1250")),
    Case("an amount with commas", Transfer, '{"reference": "c0ffee00-1111-4222-8333-444455556666", "amount": "1,250.10", "iban": "X", "executed_at": "2024-03-05T10:00:00Z"}', _transfer("1250.10")),
)  # fmt: skip

LOSSY = (
    _port("half of an integer", "5432.5", REFUSED),
    _port("half of an integer in quotes", '"5432.5"', REFUSED),
    _port("an integer in words that are none", '"many"', REFUSED),
    _port("a range for an integer", '"80-90"', REFUSED),
    _port("a choice of two integers", '"80 or 8080"', REFUSED),
    _port("an arithmetic expression", "80 + 1", REFUSED),
    _port("an empty string for an integer", '""', REFUSED),
    _port("a list of two for an integer", "[80, 443]", REFUSED),
    _port("an object for an integer", '{"from": 80, "to": 90}', REFUSED),
    _port("null for an integer", "null", REFUSED),
    _port("None for an integer", "None", REFUSED),
    _port("a number too big", "70000", REFUSED),
    _port("a number too big in quotes", '"70,000"', REFUSED),
    _port("zero where one is the least", "0", REFUSED),
    _port("a negative port", "-80", REFUSED),
    _port("infinity for an integer", "Infinity", REFUSED),
    _port("not-a-number for an integer", "NaN", REFUSED),
    _port("groups of digits that are none", '"54,32"', REFUSED),
    _humidity("more than all", "145", REFUSED),
    _humidity("more than all, as a percentage", '"145%"', REFUSED),
    _humidity("a bound for a number", '">80"', REFUSED),
    _humidity("a word for a number", '"high"', REFUSED),
    _humidity("not available, where it is required", '"N/A"', REFUSED),
    _humidity("a dash, where it is required", '"-"', REFUSED),
    _celsius("a range for a float", '"-4 to -3"', REFUSED),
    _celsius("a comma that may be a point", '"-3,5"', REFUSED),
    _celsius("a version for a float", '"1.2.3"', REFUSED),
    _celsius("a date for a float", '"2024-03-05"', REFUSED),
    _celsius("true for a float", "true", REFUSED),
    Case("a quantity below its least", Line, '{"item": "Desk", "quantity": 0, "unit_price": 3}', REFUSED),
    Case("stars beyond five", Review, '{"stars": 9, "sentiment": "positive", "would_buy_again": true, "quote": "q"}', REFUSED),
    Case("half a star", Review, '{"stars": 4.5, "sentiment": "positive", "would_buy_again": true, "quote": "q"}', REFUSED),
    Case("an amount of nothing", Transfer, '{"reference": "c0ffee00-1111-4222-8333-444455556666", "amount": 0, "iban": "X", "executed_at": "2024-03-05T10:00:00Z"}', REFUSED),
)  # fmt: skip

ABSENT = (
    _pulse("None", "None", None),
    _pulse("nil", "nil", None),
    _pulse("undefined", "undefined", None),
    _pulse("NULL", "NULL", None),
    _pulse("null in quotes", '"null"', None),
    _pulse("None in quotes", '"None"', None),
    _pulse("not available", '"N/A"', None),
    _pulse("not available, small", '"n/a"', None),
    _pulse("an empty string", '""', None),
    _pulse("a word that is no number", '"strong"', REFUSED),
    _pulse("half a beat", "72.5", REFUSED),
    Case("a field with a default left out", Patient, '{"chart": "P-1", "age": 40, "pulse": 70,}', Patient(chart="P-1", age=40, pulse=70)),
    Case("an optional field with no default left out", Patient, '{"chart": "P-1", "age": 40}', Patient(chart="P-1", age=40, pulse=None)),
    Case("an optional field in quotes", Patient, '{"chart": "P-1", "age": "40", "pulse": "72"}', Patient(chart="P-1", age=40, pulse=72)),
    Case("null for an optional record", Book | None, "null", None),
)  # fmt: skip

BOOLEANS = (
    _smoker("Python's true", "True", True),
    _smoker("Python's false", "False", False),
    _smoker("TRUE", "TRUE", True),
    _smoker("true in quotes", '"true"', True),
    _smoker("False in quotes", '"False"', False),
    _smoker("yes", '"yes"', True),
    _smoker("No", '"No"', False),
    _smoker("yes without quotes", "yes", True),
    _smoker("one", "1", True),
    _smoker("zero", "0", False),
    _smoker("maybe", '"maybe"', REFUSED),
    _smoker("yes and no", '"yes and no"', REFUSED),
    _smoker("two", "2", REFUSED),
    _smoker("unknown", '"unknown"', REFUSED),
    _smoker("not available for a boolean", '"N/A"', REFUSED),
    _smoker("an empty string for a boolean", '""', REFUSED),
    _smoker("a list of both", "[true, false]", REFUSED),
)

TEXT = (
    _isbn("a number for a text", "9780141439686", "9780141439686"),
    _isbn("leading zeros for a text", "0141439686", "0141439686"),
    _isbn("a trailing zero for a text", "1.10", "1.10"),
    _isbn("a version for a text", "1.2.3", "1.2.3"),
    _isbn("digits with hyphens for a text", "978-0-14-143968-6", "978-0-14-143968-6"),
    _isbn("a big number for a text", "12345678901234567890123", "12345678901234567890123"),
    _isbn("words for a text", "not known yet", "not known yet"),
    _isbn("not available stays a text", '"N/A"', "N/A"),
    _isbn("the text null stays a text", '"null"', "null"),
    _isbn("null for a text", "null", REFUSED),
    _isbn("an object for a text", '{"code": 1, "group": 2}', REFUSED),
    Case("numbers for a list of texts", list[str], "[1.50, 007, 3]", ["1.50", "007", "3"]),
    Case("a clean number for a text and a trailing comma", Book, '{"title": "1984", "authors": ["George Orwell"], "year": 1949, "isbn": 1,}', Book("1984", ["George Orwell"], 1949, "1")),
    Case("a number as the title", Book, '{"title": 1984, "authors": ["George Orwell"], "year": "1949", "isbn": "1"}', Book("1984", ["George Orwell"], 1949, "1")),
)  # fmt: skip

PYTHON = (
    Case("a dictionary of Python", Book, "{'title': 'Persuasion', 'authors': ['Jane Austen'], 'year': 1817, 'isbn': '9780141439686', 'rating': None}", BOOK),
    Case("a dictionary with a tuple", Book, "{'title': 'Persuasion', 'authors': ('Jane Austen',), 'year': 1817, 'isbn': '9780141439686', 'rating': None}", BOOK),
    Case("a set of Python", set[str], "{'eu', 'prod'}", {"eu", "prod"}),
    Case("a set of Python in a record", Host, "{'hostname': 'h', 'port': 80, 'tags': {'a', 'b'}, 'limits': {'cpu': 2}}", Host("h", 80, {"a", "b"}, {"cpu": 2})),
    Case("a tuple of Python", tuple[float, float], "(52.5, 13.4)", (52.5, 13.4)),
    Case("a list of tuples", list[tuple[str, int]], "[('a', 1), ('b', 2)]", [("a", 1), ("b", 2)]),
    Case("a call of dict", dict[str, int], "dict(a=1, b=2)", {"a": 1, "b": 2}),
    Case("a set that says a thing twice", set[int], "[1, 2, 2, 3]", {1, 2, 3}),
    Case("a record's repr", Book, "Book(title='Persuasion', authors=['Jane Austen'], year=1817, isbn='9780141439686', rating=None)", BOOK),
    Case("a tuple of the wrong length", tuple[float, float], "[1.0, 2.0, 3.0]", REFUSED),
    Case("half a pair", tuple[float, float], "[1.0]", REFUSED),
)  # fmt: skip

CASES = (*NOTATION, *LOSSY, *ABSENT, *BOOLEANS, *TEXT, *PYTHON)
