"""A value in another shape than asked: wrapped, in a list, bare, encoded once more, as lines."""

# ruff: noqa: E501 -- an answer is not broken over lines, and its odd characters are the point

from __future__ import annotations

import json

from support.defects.case import REFUSED, Case
from support.defects.subjects import (
    BOOK,
    HOST,
    INVOICE,
    MOVE,
    QUIZ,
    SOUP,
    THREAD,
    Book,
    Comment,
    Host,
    Ingredient,
    Invoice,
    Move,
    Patient,
    Question,
    Recipe,
    Review,
    Snippet,
    Stop,
    Trip,
)

_BOOK = '{"title": "Persuasion", "authors": ["Jane Austen"], "year": 1817, "isbn": "9780141439686"}'
_EMMA = '{"title": "Emma", "authors": ["Jane Austen"], "year": 1815, "isbn": "9780141439587"}'
_MOVE = '{"piece": "knight", "from_square": "g1", "to_square": "f3", "is_capture": false}'
_LINES = '[{"item": "Desk", "quantity": 1, "unit_price": 1000.0}, {"item": "Lamp", "quantity": 2, "unit_price": 117.25}]'
_INGREDIENTS = '[{"name": "tomatoes", "grams": 800.0}, {"name": "basil", "grams": 12.5}]'
EMMA = Book("Emma", ["Jane Austen"], 1815, "9780141439587")

WRAPPED = (
    Case("a result around it", Book, f'{{"result": {_BOOK}}}', BOOK),
    Case("the type's name around it", Book, f'{{"Book": {_BOOK}}}', BOOK),
    Case("the type's name in small letters around it", Book, f'{{"book": {_BOOK}}}', BOOK),
    Case("two wrappers", Book, f'{{"response": {{"data": {_BOOK}}}}}', BOOK),
    Case("a wrapper with a status", Book, f'{{"status": "ok", "data": {_BOOK}}}', BOOK),
    Case("a wrapper with thoughts first", Book, f'{{"reasoning": "It is her last novel.", "answer": {_BOOK}}}', BOOK),
    Case("a list of one around it", Book, f"[{_BOOK}]", BOOK),
    Case("a wrapper and a list of one", Book, f'{{"books": [{_BOOK}]}}', BOOK),
    Case("a list of two around a record", Book, f"[{_BOOK}, {_EMMA}]", REFUSED),
    Case("a wrapper around two records", Book, f'{{"first": {_BOOK}, "second": {_EMMA}}}', REFUSED),
    Case("an empty wrapper", Book, '{"result": {}}', REFUSED),
    Case("a wrapper around an error", Book, '{"result": {"error": "not found"}}', REFUSED),
    Case("an object around a list", list[str], '{"items": ["a", "b"]}', ["a", "b"]),
    Case("an object around a list of records", list[Book], f'{{"books": [{_BOOK}, {_EMMA}]}}', [BOOK, EMMA]),
    Case("an object with a count around a list", list[Book], f'{{"count": 2, "books": [{_BOOK}, {_EMMA}]}}', [BOOK, EMMA]),
    Case("an object with two lists", list[str], '{"yes": ["a", "b"], "no": ["c"]}', REFUSED),
    Case("an object around a number", int, '{"answer": 42}', 42),
    Case("an object around a boolean", bool, '{"result": true}', True),
    Case("an object with two numbers", int, '{"low": 40, "high": 44}', REFUSED),
    Case("a wrapper around a map", dict[str, int], '{"result": {"a": 1, "b": 2}}', {"a": 1, "b": 2}),
)  # fmt: skip

SINGLE_AND_MANY = (
    Case("one text for a list", Book, '{"title": "Persuasion", "authors": "Jane Austen", "year": 1817, "isbn": "9780141439686"}', BOOK),
    Case("one record for a list", Recipe, '{"title": "Salt", "serves": 1, "vegan": true, "ingredients": {"name": "salt", "grams": 3}}', Recipe("Salt", 1, True, [Ingredient("salt", 3.0)])),
    Case("one record for a list of them", list[Book], _BOOK, [BOOK]),
    Case("one text for a list of them", list[str], '"north"', ["north"]),
    Case("a list of one text for a text", Book, '{"title": ["Persuasion"], "authors": ["Jane Austen"], "year": [1817], "isbn": "9780141439686"}', BOOK),
    Case("a list of two for a text", Book, '{"title": ["Persuasion", "Emma"], "authors": ["Jane Austen"], "year": 1817, "isbn": "9780141439686"}', REFUSED),
    Case("an empty list for a text", Book, '{"title": [], "authors": ["Jane Austen"], "year": 1817, "isbn": "9780141439686"}', REFUSED),
    Case("a list in a list", list[str], '[["a", "b"]]', ["a", "b"]),
    Case("too few for a list", Question, '{"question": "q", "options": ["Mars"], "answer_index": 0}', REFUSED),
    Case("one for a list of at least two", Question, '{"question": "q", "options": "Mars", "answer_index": 0}', REFUSED),
    Case("too many for a list", Question, '{"question": "q", "options": ["1", "2", "3", "4", "5", "6"], "answer_index": 0}', REFUSED),
    Case("a bad record among good ones", list[Book], f'[{_BOOK}, {{"title": "Emma"}}]', REFUSED),
    Case("a text among numbers", list[int], '[1, 2, "three or four"]', REFUSED),
    Case("numbers in quotes", list[int], '["1", "2", "3"]', [1, 2, 3]),
    Case("named places of a pair", Stop, '{"name": "Pier", "position": [54.1, 12.1],}', Stop("Pier", (54.1, 12.1))),
    Case("a pair in round brackets", Stop, '["Pier", (54.1, 12.1)]', Stop("Pier", (54.1, 12.1))),
    Case("a map whose values are in quotes", dict[str, float], '{"a": "1.5", "b": "2"}', {"a": 1.5, "b": 2.0}),
    Case("a map with a value that is none", dict[str, float], '{"a": "1.5", "b": "unknown"}', REFUSED),
    Case("numbers as keys", dict[int, str], '{1: "one", 2: "two"}', {1: "one", 2: "two"}),
    Case("keys that are no numbers", dict[int, str], '{"one": "1", "two": "2"}', REFUSED),
)  # fmt: skip

ENCODED = (
    Case("encoded twice", Book, json.dumps(_BOOK), BOOK),
    Case("encoded three times", Book, json.dumps(json.dumps(_BOOK)), BOOK),
    Case("encoded twice in a fence", Book, f"```json\n{json.dumps(_BOOK)}\n```", BOOK),
    Case("encoded twice with slips inside", Book, json.dumps(_BOOK.replace("}", ",}").replace('"', "'")), BOOK),
    Case("a wrapper around an encoded value", Book, json.dumps({"result": _BOOK}), BOOK),
    Case("a list as text", Invoice, json.dumps({"number": "A-17", "currency": "EUR", "total": 1234.5, "paid": False, "lines": _LINES}), INVOICE),
    Case("a list of records as texts", Recipe, json.dumps({"title": "Tomato soup", "serves": 4, "vegan": True, "ingredients": [json.dumps(item) for item in json.loads(_INGREDIENTS)]}), SOUP),
    Case("a map as text", Host, '{"hostname": "db-1", "port": 5432, "tags": "[\\"prod\\", \\"eu\\"]", "limits": "{\\"cpu\\": 8, \\"memory\\": 64}"}', HOST),
    Case("an unencoded value where a text is asked", Snippet, '{"language": "json", "code": "{\\"a\\": 1}", "explanation": "An object.",}', Snippet("json", '{"a": 1}', "An object.")),
    Case("the escapes of an encoded value without its quotes", Move, _MOVE.replace('"', '\\"'), MOVE),
)  # fmt: skip

LINES = (
    Case("lines of JSON", list[Move], f"{_MOVE}\n{_MOVE.replace('g1', 'b1').replace('f3', 'c3')}", [MOVE, {**MOVE, "from_square": "b1", "to_square": "c3"}]),
    Case("lines of JSON with commas", list[Book], f"{_BOOK},\n{_EMMA}", [BOOK, EMMA]),
    Case("lines of JSON in a fence", list[Book], f"```jsonl\n{_BOOK}\n{_EMMA}\n```", [BOOK, EMMA]),
    Case("three lines of JSON", list[Move], f"{_MOVE}\n{_MOVE}\n{_MOVE}", [MOVE, MOVE, MOVE]),
    Case("keys and values on lines", Move, "piece: knight\nfrom_square: g1\nto_square: f3\nis_capture: false", MOVE),
    Case("keys and values on lines, with quotes", Move, 'piece: "knight"\nfrom_square: "g1"\nto_square: "f3"\nis_capture: false', MOVE),
    Case("keys and values as bullets", Move, "- piece: knight\n- from_square: g1\n- to_square: f3\n- is_capture: no", MOVE),
    Case("keys and values in bold", Move, "**Piece:** knight\n**From square:** g1\n**To square:** f3\n**Is capture:** No", MOVE),
    Case("keys and values in a fence", Move, "```yaml\npiece: knight\nfrom_square: g1\nto_square: f3\nis_capture: false\n```", MOVE),
    Case("keys and values on lines with a list", Book, 'title: Persuasion\nauthors:\n  - Jane Austen\nyear: 1817\nisbn: "9780141439686"', BOOK),
    Case("keys and values on lines with a short list", Book, "title: Persuasion\nauthors: [Jane Austen]\nyear: 1817\nisbn: '9780141439686'", BOOK),
    Case("a colon within a value on a line", Snippet, "language: python\ncode: d = {1: 2}\nexplanation: Note: short.", Snippet("python", "d = {1: 2}", "Note: short.")),
    Case("keys and values on lines, one missing", Move, "piece: knight\nfrom_square: g1\nto_square: f3", REFUSED),
    Case("words as bullets for a list", list[str], "- north\n- south\n- east", ["north", "south", "east"]),
    Case("words that are numbered for a list", list[str], "1. north\n2. south", ["north", "south"]),
)  # fmt: skip

SCALARS = (
    Case("a number alone", int, "42", 42),
    Case("a number after a label", int, "Answer: 42", 42),
    Case("a number in a fence", int, "```\n42\n```", 42),
    Case("a number in bold", int, "**42**", 42),
    Case("a number with commas alone", int, "1,234,567", 1234567),
    Case("a float after thinking", float, "<think>2 + 0.5</think>2.5", 2.5),
    Case("two numbers", int, "between 40 and 44", REFUSED),
    Case("half a number for an integer", int, "42.5", REFUSED),
    Case("no number", int, "I do not know.", REFUSED),
    Case("true in prose style", bool, "True.", True),
    Case("yes alone", bool, "Yes", True),
    Case("no after a label", bool, "Answer: no", False),
    Case("both true and false", bool, "It could be true, it could be false.", REFUSED),
    Case("neither", bool, "It depends.", REFUSED),
    Case("a text alone", str, "Warm and light", "Warm and light"),
    Case("a text on two lines", str, "Warm\nand light", "Warm\nand light"),
    Case("a text in JSON's quotes", str, '"Warm\\nand light"', "Warm\nand light"),
)  # fmt: skip

REFUSALS = (
    Case("an apology", Book, "I'm sorry, but I can't help with that request.", REFUSED),
    Case("a question back", Recipe, "How many people should the soup serve?", REFUSED),
    Case("only prose", Review, "The reviewer liked it and gave four stars.", REFUSED),
    Case("prose with a brace", Review, "The reviewer {whoever that is} liked it.", REFUSED),
    Case("an error object", Review, '{"error": "the text is too short"}', REFUSED),
    Case("a list of prose for a record", Review, '["The reviewer liked it", "four stars"]', REFUSED),
    Case("a list of words for a thread", Comment, '["First", "Second"]', REFUSED),
    Case("a thread whose reply lacks its text", Comment, '{"author": "reader1", "text": "First", "replies": [{"author": "reader2", "replies": []}]}', REFUSED),
    Case("a thread with Python's notation", Comment, "{'author': 'reader1', 'text': 'First', 'replies': [{'author': 'reader2', 'text': 'Second', 'replies': ()}]}", THREAD),
    Case("a question with its answers as an object", Question, '{"question": "Which planet is largest?", "options": {"a": "Mars", "b": "Jupiter"}, "answer_index": 1}', REFUSED),
    Case("a quiz in a wrapper, with slips", Question, "{'quiz': {'question': 'Which planet is largest?', 'options': ['Mars', 'Jupiter', 'Venus'], 'answerIndex': '1'}}", QUIZ),
    Case("an age beyond all", Patient, '{"chart": "P-1", "age": 400, "pulse": 70}', REFUSED),
    Case("a trip with nothing but a line", Trip, "line: 5", REFUSED),
)  # fmt: skip

CASES = (*WRAPPED, *SINGLE_AND_MANY, *ENCODED, *LINES, *SCALARS, *REFUSALS)
