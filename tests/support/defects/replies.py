"""Whole replies: the marks of other families of models, notes around the answer, several slips in one text."""

# ruff: noqa: E501 -- an answer is not broken over lines

from __future__ import annotations

import datetime as dt
import json

from support.defects.case import REFUSED, Case
from support.defects.subjects import (
    BOOK,
    HOST,
    INVOICE,
    QUIZ,
    REVIEW,
    SOUP,
    THREAD,
    Book,
    Comment,
    Contact,
    Department,
    Drawing,
    Host,
    Invoice,
    Line,
    Page,
    Question,
    Recipe,
    Rectangle,
    Review,
    Stop,
    Transfer,
    Trip,
)

_REVIEW = '{"stars": 4, "sentiment": "positive", "would_buy_again": true, "quote": "Warm and light"}'
_OTHER = '{"stars": 2, "sentiment": "negative", "would_buy_again": false, "quote": "Too thin"}'
_INVALID = '{"stars": 7, "sentiment": "positive", "would_buy_again": true, "quote": "Warm and light"}'
_TRIP = {
    "line": "7",
    "stops": [{"name": "Pier", "position": [54.1, 12.1]}],
    "departs": "08:15:00",
    "lasts": "PT40M",
}
TRIP = Trip(
    line="7", stops=[Stop("Pier", (54.1, 12.1))], departs=dt.time(8, 15), lasts=dt.timedelta(minutes=40)
)
_TRIP_TEXT = json.dumps(_TRIP)


def _review(name: str, raw: str) -> Case:
    return Case(name, Review, raw, REVIEW)


FAMILIES = (
    _review("channels, the final one last", f"<|channel|>analysis<|message|>Praise, mostly. {_OTHER}? No.<|end|><|start|>assistant<|channel|>final<|message|>{_REVIEW}<|return|>"),
    _review("thinking in square brackets", f"[THINK]Could be {_OTHER}, but no.[/THINK]{_REVIEW}"),
    _review("thinking in triangles", f"◁think▷Could be {_OTHER}, but no.◁/think▷{_REVIEW}"),
    _review("a thought", f"<thought>\nIt praises.\n</thought>\n\n{_REVIEW}"),
    _review("tool calls in square brackets", f'[TOOL_CALLS][{{"name": "Review", "arguments": {_REVIEW}}}]'),
    _review("a function's tag", f"<function=Review>{_REVIEW}</function>"),
    _review("a tag of Python and parameters", f'<|python_tag|>{{"name": "Review", "parameters": {_REVIEW}}}'),
    _review("the marks of a turn", f"<start_of_turn>model\n{_REVIEW}<end_of_turn>"),
    _review("the mark of an assistant", f"<|assistant|>\n{_REVIEW}"),
    _review("the end of an instruction", f"[/INST] {_REVIEW}"),
    _review("a heading of a response", f"### Response:\n{_REVIEW}"),
    _review("a box", f"\\boxed{{{_REVIEW}}}"),
    Case("a number in a box", int, "So the answer is $\\boxed{42}$.", 42),
    Case("a word in a box", Department, "\\boxed{\\text{billing}}", "billing"),
)  # fmt: skip

NOTES = (
    _review("a file's name at the fence", f'```json title="review.json"\n{_REVIEW}\n```'),
    _review("a fold", f"<details>\n<summary>JSON</summary>\n\n```json\n{_REVIEW}\n```\n\n</details>"),
    _review("a note below", f"```json\n{_REVIEW}\n```\n\n---\n*Note: I took the first sentence {{not the last}} as the quote.*"),
    _review("assumptions above", f"Assumptions:\n1. The text is a review.\n2. Stars go from 1 to 5.\n\nOutput (JSON):\n\n{_REVIEW}"),
    _review("a table above", f"| field | value |\n|---|---|\n| stars | 4 |\n\n{_REVIEW}"),
    _review("the question repeated", f'You asked: "How many stars?"\n\n{_REVIEW}'),
    _review("a wrong start, then all of it", f'{{"stars": 4, "sentim\n\nLet me start again:\n\n{_REVIEW}'),
    _review("an answer that fits nothing, then its correction", f"{_INVALID}\n\nStars end at five, so:\n\n{_REVIEW}"),
    _review("a draft in a fence, the final answer in bold", f"First try:\n\n```json\n{_OTHER}\n```\n\n**Final Answer**\n\n{_REVIEW}"),
    _review("the same twice without a space", _REVIEW + _REVIEW),
    _review("the same in another order", f'{_REVIEW}\n{{"quote": "Warm and light", "would_buy_again": true, "sentiment": "positive", "stars": 4}}'),
    _review("a signature", f"{_REVIEW}\n\n-- \nyour assistant"),
    _review("a choice with its reason in brackets", _REVIEW.replace('"positive"', '"positive (it praises the soup)"')),
    _review("a text that speaks of a final answer before", f"I will give the final answer as JSON.\n{_REVIEW}"),
    Case("several answers by number", Review, f"1. {_REVIEW}\n2. {_OTHER}\n3. {_REVIEW}", REFUSED),
    Case("two halves of a record", Review, '{"stars": 4, "sentiment": "positive"}\n{"would_buy_again": true, "quote": "q"}', REFUSED),
)  # fmt: skip

MAPS = (
    Case("an apostrophe in a key", dict[str, int], "{\"it's\": 1, \"they're\": 2,}", {"it's": 1, "they're": 2}),
    Case("keys with hyphens and no quotes", dict[str, int], "{us-east-1: 3, eu-west-2: 4}", {"us-east-1": 3, "eu-west-2": 4}),
    Case("numbers as keys of texts", dict[str, str], '{1: "a", 2: "b"}', {"1": "a", "2": "b"}),
    Case("a map as lines", dict[str, int], "```yaml\ncpu: 8\nmemory: 64\n```", {"cpu": 8, "memory": 64}),
    Case("a map as a list of keys and values", dict[str, int], '[{"key": "cpu", "value": 8}, {"key": "memory", "value": 64}]', {"cpu": 8, "memory": 64}),
    Case("a map as a list that contradicts itself", dict[str, int], '[{"cpu": 8}, {"cpu": 9}]', REFUSED),
    Case("keys of a map keep their case", dict[str, int], "{'CPU': 8, 'cpu': 9}", {"CPU": 8, "cpu": 9}),
    Case("keys of a map keep their spaces", dict[str, int], "{'first name': 1, 'first_name': 2}", {"first name": 1, "first_name": 2}),
    Case("a key called result", dict[str, int], '{"result": 1, "answer": 2,}', {"result": 1, "answer": 2}),
    Case("a map of records with slips", dict[str, Line], "{desk: {item: 'Desk', quantity: '1', unit_price: '$1,000'}}", {"desk": Line(item="Desk", quantity=1, unit_price=1000.0)}),
    Case("a map of lists with one value bare", dict[str, list[str]], '{"a": ["x", "y"], "b": "z"}', {"a": ["x", "y"], "b": ["z"]}),
    Case("a map with a value that is none of the type", dict[str, int], '{"cpu": 8, "memory": {"gib": 64}}', REFUSED),
)  # fmt: skip

SEVERAL = (
    Case("a recipe in JavaScript with comments", Recipe, "// the recipe\nmodule.exports = {\n  title: 'Tomato soup', // for four\n  serves: 4,\n  vegan: true,\n  ingredients: [\n    { name: 'tomatoes', grams: 800 },\n    { name: 'basil', grams: 12.5 }, // fresh\n  ],\n};", SOUP),
    Case("a recipe with units in prose around", Recipe, "Here's your soup (serves 4, 45 min):\n\n```json\n{'title': 'Tomato soup', 'serves': '4', 'vegan': 'yes', 'ingredients': [{'name': 'tomatoes', 'grams': '800'} {'name': 'basil', 'grams': '12.5'}]}\n```\nEnjoy! {chef's kiss}", SOUP),
    Case("an invoice of Python's, cut before its end", Invoice, "invoice = {'number': 'A-17', 'currency': 'EUR', 'total': 1_234.5, 'paid': False, 'lines': [{'item': 'Desk', 'quantity': 1, 'unit_price': 1000.0}, {'item': 'Lamp', 'quantity': 2, 'unit_price': 117.25}]", INVOICE),
    Case("an invoice with thousands, currency in small letters", Invoice, '{"number": "A-17", "currency": "eur", "total": "1,234.50", "paid": "no", "lines": [{"item": "Desk", "quantity": 1, "unitPrice": "1,000.00"}, {"item": "Lamp", "quantity": 2, "unitPrice": 117.25}]}', INVOICE),
    Case("an invoice with an unknown currency", Invoice, '{"number": "A-17", "currency": "CHF", "total": 1, "paid": true, "lines": []}', REFUSED),
    Case("an invoice with its total as words", Invoice, '{"number": "A-17", "currency": "EUR", "total": "see lines", "paid": true, "lines": []}', REFUSED),
    Case("an invoice with one line bad", Invoice, '{"number": "A-17", "currency": "EUR", "total": 1, "paid": true, "lines": [{"item": "Desk", "quantity": 1, "unit_price": 1}, {"item": "Lamp", "quantity": "several", "unit_price": 2}]}', REFUSED),
    Case("a quiz with typographic quotes and no commas", Question, "{\n  “question”: “Which planet is largest?”\n  “options”: [“Mars” “Jupiter” “Venus”]\n  “answer_index”: 1\n}", QUIZ),
    Case("a quiz, encoded, in prose", Question, 'The JSON string is:\n"{\\"question\\": \\"Which planet is largest?\\", \\"options\\": [\\"Mars\\", \\"Jupiter\\", \\"Venus\\"], \\"answer_index\\": 1}"', QUIZ),
    Case("a host in YAML-like notation", Host, "hostname: db-1\nport: 5432\ntags:\n  - prod\n  - eu\nlimits: {cpu: 8, memory: 64}", HOST),
    Case("a host with a port in a sentence", Host, '{"hostname": "db-1", "port": "the default one", "tags": [], "limits": {}}', REFUSED),
    Case("a thread with raw newlines and inner quotes", Comment, '{"author": "reader1", "text": "She wrote "no"\nand left", "replies": []}', Comment("reader1", 'She wrote "no"\nand left', [])),
    Case("a thread in other keys' case", Comment, "{'Author': 'reader1', 'Text': 'First', 'Replies': [{'Author': 'reader2', 'Text': 'Second', 'Replies': []}]}", THREAD),
    Case("a thread five deep, unclosed", Comment, '{"author": "a", "text": "1", "replies": [{"author": "b", "text": "2", "replies": [{"author": "c", "text": "3", "replies": [{"author": "d", "text": "4", "replies": [{"author": "e", "text": "5", "replies": []', Comment("a", "1", [Comment("b", "2", [Comment("c", "3", [Comment("d", "4", [Comment("e", "5", [])])])])])),
    Case("a drawing with comments for kinds", Drawing, "{shapes: [\n // a box\n {kind: rectangle, width: 3, height: .5},\n]}", Drawing(shapes=[Rectangle(kind="rectangle", width=3, height=0.5)])),
    Case("a drawing with one shape bare", Drawing, '{"shapes": {"kind": "rectangle", "width": 3, "height": 0.5}}', Drawing(shapes=[Rectangle(kind="rectangle", width=3, height=0.5)])),
    Case("a trip, clean", Trip, _TRIP_TEXT, TRIP),
    Case("a trip with spelled times", Trip, "{'line': 7, 'stops': [('Pier', (54.1, 12.1))], 'departs': '8:15 AM', 'lasts': '40 min'}", TRIP),
    Case("a trip with its numbers as texts", Trip, '{"line": "7", "stops": [{"name": "Pier", "position": ["54.1", "12.1"]}], "departs": "08:15", "lasts": "40 minutes"}', TRIP),
    Case("a trip that lasts an unknown while", Trip, _TRIP_TEXT.replace("PT40M", "not long"), REFUSED),
    Case("a contact of Python's with a date object", Contact, "{'full_name': 'Ada Lovelace', 'email': 'ada@example.org', 'phone_number': None, 'birth_date': datetime.date(1815, 12, 10)}", Contact(full_name="Ada Lovelace", email="ada@example.org", phone_number=None, birth_date=dt.date(1815, 12, 10))),
    Case("a transfer of Python's with its objects", Transfer, "{'reference': UUID('c0ffee00-1111-4222-8333-444455556666'), 'amount': Decimal('12.50'), 'iban': 'X', 'executed_at': '2024-03-05T10:00:00+00:00'}", Transfer(reference="c0ffee00-1111-4222-8333-444455556666", amount="12.50", iban="X", executed_at=dt.datetime(2024, 3, 5, 10, tzinfo=dt.UTC))),
    Case("a contact whose address of mail is none", Contact, "{'full_name': 'Ada Lovelace', 'email': 'none given', 'phone_number': None, 'birth_date': '1815-12-10'}", REFUSED),
    Case("books back to back in prose", list[Book], 'I found {"title": "Persuasion", "authors": ["Jane Austen"], "year": 1817, "isbn": "9780141439686"} and {"title": "Emma", "authors": ["Jane Austen"], "year": 1815, "isbn": "9780141439587"}.', [BOOK, Book("Emma", ["Jane Austen"], 1815, "9780141439587")]),
    Case("books in a list with remarks between", list[Book], '[\n  // the last one\n  {"title": "Persuasion", "authors": ["Jane Austen"], "year": 1817, "isbn": "9780141439686"},\n  /* and the first */\n  {"title": "Emma", "authors": "Jane Austen", "year": "1815", "isbn": 9780141439587},\n]', [BOOK, Book("Emma", ["Jane Austen"], 1815, "9780141439587")]),
    Case("a page's address with brackets and quotes lost", Page, "{'url': https://example.org/a?b=[1]&c={2}, 'heading': 'Home', 'links': 3}", REFUSED),
    Case("a long list with one comma lost", list[int], "[" + ", ".join(map(str, range(150))) + " " + ", ".join(map(str, range(150, 300))) + "]", list(range(300))),
    Case("a long list of records in lines", list[Line], "\n".join(f'{{"item": "Pin {n}", "quantity": {n}, "unit_price": 0.5}}' for n in range(1, 41)), [Line(item=f"Pin {n}", quantity=n, unit_price=0.5) for n in range(1, 41)]),
)  # fmt: skip

CASES = (*FAMILIES, *NOTES, *MAPS, *SEVERAL)
