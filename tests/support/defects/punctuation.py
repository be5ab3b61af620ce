"""Slips of JSON's punctuation: quotes, commas, colons, brackets, comments, elisions."""

# ruff: noqa: E501, RUF001 -- an answer is not broken over lines, and its odd characters are the point

from __future__ import annotations

from support.defects.case import REFUSED, Case
from support.defects.subjects import (
    BOOK,
    HOST,
    INVOICE,
    QUIZ,
    SOUP,
    THREAD,
    Book,
    Comment,
    Host,
    Invoice,
    Question,
    Recipe,
)

_SOUP = (
    '{"title": "Tomato soup", "serves": 4, "vegan": true, "ingredients": '
    '[{"name": "tomatoes", "grams": 800.0}, {"name": "basil", "grams": 12.5}]}'
)
_THREAD = '{"author": "reader1", "text": "First", "replies": [{"author": "reader2", "text": "Second", "replies": []}]}'
_LINES = '[{"item": "Desk", "quantity": 1, "unit_price": 1000.0}, {"item": "Lamp", "quantity": 2, "unit_price": 117.25}]'


def _soup(name: str, raw: str) -> Case:
    return Case(name, Recipe, raw, SOUP)


QUOTES = (
    _soup("single quotes", _SOUP.replace('"', "'")),
    _soup("typographic quotes", _SOUP.replace(' "', " “").replace('{"', "{“").replace('"', "”")),
    _soup("typographic quotes, all closing", _SOUP.replace('"', "”")),
    _soup("low-high quotes", _SOUP.replace(' "', " „").replace('{"', "{„").replace('"', "“")),
    _soup("guillemets", _SOUP.replace(' "', " «").replace('{"', "{«").replace('"', "»")),
    _soup("backticks for quotes", _SOUP.replace('"', "`")),
    _soup("doubled quotes", _SOUP.replace('"', '""')),
    _soup("keys without quotes", '{title: "Tomato soup", serves: 4, vegan: true, ingredients: [{name: "tomatoes", grams: 800.0}, {name: "basil", grams: 12.5}]}'),
    _soup("keys in single quotes, values in double ones", "{'title': \"Tomato soup\", 'serves': 4, 'vegan': true, 'ingredients': [{'name': \"tomatoes\", 'grams': 800.0}, {'name': \"basil\", 'grams': 12.5}]}"),
    _soup("no quotes at all", "{title: Tomato soup, serves: 4, vegan: true, ingredients: [{name: tomatoes, grams: 800.0}, {name: basil, grams: 12.5}]}"),
    _soup("a key that lost its closing quote", _SOUP.replace('"serves"', '"serves')),
    _soup("a key that lost its opening quote", _SOUP.replace('"serves"', 'serves"')),
    _soup("a value that lost its closing quote before a comma", _SOUP.replace('"Tomato soup",', '"Tomato soup,')),
    _soup("a value that lost its opening quote", _SOUP.replace('"Tomato soup"', 'Tomato soup"')),
    _soup("every quote escaped", _SOUP.replace('"', '\\"')),
    Case("an apostrophe in single quotes", Book, "{'title': 'Emma's Choice', 'authors': ['a'], 'year': 1990, 'isbn': '7'}", Book("Emma's Choice", ["a"], 1990, "7")),
    Case("an escaped apostrophe in single quotes", Book, r"{'title': 'Emma\'s Choice', 'authors': ['a'], 'year': 1990, 'isbn': '7'}", Book("Emma's Choice", ["a"], 1990, "7")),
    Case("an escaped apostrophe in double quotes", Book, r'{"title": "Emma\'s Choice", "authors": ["a"], "year": 1990, "isbn": "7"}', Book("Emma's Choice", ["a"], 1990, "7")),
    Case("an apostrophe before a comma in single quotes", Book, "{'title': 'The Readers', Volume Two', 'authors': ['a'], 'year': 1990, 'isbn': '7'}", Book("The Readers', Volume Two", ["a"], 1990, "7")),
    Case("typographic quotes within a string stay", Book, '{"title": "The “Great” One", "authors": ["a"], "year": 1990, "isbn": "7"}', Book("The “Great” One", ["a"], 1990, "7")),
    Case("a typographic apostrophe stays", Book, "{'title': 'Emma’s Choice', 'authors': ['a'], 'year': 1990, 'isbn': '7'}", Book("Emma’s Choice", ["a"], 1990, "7")),
)  # fmt: skip

COMMAS = (
    _soup("a trailing comma in an object", _SOUP[:-1] + ",}"),
    _soup("a trailing comma in a list", _SOUP[:-2] + ",]}"),
    _soup("trailing commas everywhere", _SOUP.replace("}", ",}").replace("]", ",]")),
    _soup("a trailing comma after it all", _SOUP + ","),
    _soup("a leading comma", _SOUP.replace("{", "{,", 1)),
    _soup("a double comma", _SOUP.replace(", ", ",, ", 1)),
    _soup("a comma missing after a string", _SOUP.replace('soup",', 'soup"')),
    _soup("a comma missing after a number", _SOUP.replace("4,", "4")),
    _soup("a comma missing after true", _SOUP.replace("true,", "true")),
    _soup("a comma missing between objects", _SOUP.replace("}, {", "} {")),
    _soup("objects back to back", _SOUP.replace("}, {", "}{")),
    _soup("commas missing at all line ends", _SOUP.replace(", ", "\n")),
    _soup("semicolons for commas", _SOUP.replace(", ", "; ")),
    _soup("full-width commas", _SOUP.replace(", ", "，")),
    _soup("ideographic commas", _SOUP.replace(", ", "、")),
    Case("a comma missing between strings of a list", Question, '{"question": "Which planet is largest?", "options": ["Mars" "Jupiter" "Venus"], "answer_index": 1}', QUIZ),
    Case("a comma missing between lines of a list", Question, '{"question": "Which planet is largest?", "options": [\n"Mars"\n"Jupiter"\n"Venus"\n], "answer_index": 1}', QUIZ),
    Case("a comma missing between numbers", list[int], "[3 5 8]", [3, 5, 8]),
    Case("a comma missing after a list", Question, '{"question": "Which planet is largest?", "options": ["Mars", "Jupiter", "Venus"] "answer_index": 1}', QUIZ),
    Case("a full stop after the number of a list", list[int], "[3, 5, 8].", [3, 5, 8]),
)  # fmt: skip

COLONS = (
    _soup("a colon missing", _SOUP.replace('"title":', '"title"')),
    _soup("a colon missing before a list", _SOUP.replace('"ingredients":', '"ingredients"')),
    _soup("equals signs", _SOUP.replace('":', '" =')),
    _soup("fat arrows", _SOUP.replace('":', '" =>')),
    _soup("a colon twice", _SOUP.replace('"title":', '"title"::')),
    _soup("full-width colons", _SOUP.replace('":', '"：')),
    _soup("a colon within the quotes of the key", _SOUP.replace('"serves":', '"serves:"')),
)

BRACKETS = (
    _soup("the last brace missing", _SOUP[:-1]),
    _soup("the last bracket and brace missing", _SOUP[:-2]),
    _soup("a list that never closes before the brace", _SOUP.replace("]}", "}")),
    _soup("a brace too many", _SOUP + "}"),
    _soup("a bracket too many at the end", _SOUP + "]"),
    _soup("a closing bracket for a closing brace", _SOUP[:-1] + "]"),
    _soup("braces doubled, as in a template", "{" + _SOUP + "}"),
    _soup("full-width brackets", _SOUP.replace("{", "｛").replace("}", "｝").replace("[", "［").replace("]", "］")),
    _soup("full-width everything", _SOUP.replace("{", "｛").replace("}", "｝").replace("[", "［").replace("]", "］").replace('":', "＂：").replace('"', "＂").replace(",", "，")),
    _soup("no braces around it all", _SOUP[1:-1]),
    _soup("round brackets for a list", _SOUP.replace("[", "(").replace("]", ")")),
    Case("the inner brace of a thread missing", Comment, _THREAD.replace("[]}]}", "[]]}"), THREAD),
    Case("the last brackets of a thread missing", Comment, _THREAD.replace("[]}]}", "[]"), THREAD),
    Case("a record of a list that is not closed", Invoice, f'{{"number": "A-17", "currency": "EUR", "total": 1234.5, "paid": false, "lines": {_LINES.replace("1000.0}", "1000.0")}}}', INVOICE),
    Case("a list of words that is not closed", list[str], '["north", "south"', ["north", "south"]),
    Case("a map that is not closed", Host, '{"hostname": "db-1", "port": 5432, "tags": ["prod", "eu"], "limits": {"cpu": 8, "memory": 64}', HOST),
)  # fmt: skip

COMMENTS = (
    _soup("a line comment", _SOUP.replace(", ", ", // as agreed\n", 1)),
    _soup("a line comment before the value", "// the recipe\n" + _SOUP),
    _soup("a line comment within the braces", _SOUP.replace("{", "{ // the recipe\n", 1)),
    _soup("a hash comment", _SOUP.replace(", ", ", # as agreed\n", 1)),
    _soup("a block comment", _SOUP.replace(", ", ", /* as agreed */ ", 1)),
    _soup("a block comment over lines", _SOUP.replace(", ", ", /* as\n * agreed,\n * {see} */ ", 1)),
    _soup("a comment with a quote mark", _SOUP.replace(", ", ', // it\'s 4" deep\n', 1)),
    _soup("a comment with a brace", _SOUP.replace(", ", ", // was {5}\n", 1)),
    _soup("a comment before the comma", _SOUP.replace(", ", " // as agreed\n, ", 1)),
    _soup("a comment with no comma before it", _SOUP.replace(", ", " // as agreed\n", 1)),
    _soup("a comment after the last field", _SOUP[:-1] + " // that is all\n}"),
    Case("slashes within a string are no comment", Book, '{"title": "see https://x.example/a // b", "authors": [/* one */ "a"], "year": 1990, "isbn": "7"}', Book("see https://x.example/a // b", ["a"], 1990, "7")),
    Case("a hash within a string is no comment", Book, '{"title": "We are #1, # 2 and #3", "authors": ["a"], "year": 1990, # the first\n "isbn": "7"}', Book("We are #1, # 2 and #3", ["a"], 1990, "7")),
)  # fmt: skip

ELISIONS = (
    Case("a list that is cut short by dots", list[int], "[1, 2, 3, ...]", REFUSED),
    Case("a list that is cut short by a comment", Question, '{"question": "Which planet is largest?", "options": ["Mars", "Jupiter", ...], "answer_index": 1}', REFUSED),
    Case("fields that are left out with dots", Recipe, '{"title": "Tomato soup", ...}', REFUSED),
    Case("dots for a list", Recipe, '{"title": "Tomato soup", "serves": 4, "vegan": true, "ingredients": [...]}', REFUSED),
    Case("dots for a value", Book, '{"title": "Persuasion", "authors": ["Jane Austen"], "year": ..., "isbn": "9780141439686"}', REFUSED),
    Case("dots within a string are text", Book, '{"title": "And so on...", "authors": ["a"], "year": 1990, "isbn": "7",}', Book("And so on...", ["a"], 1990, "7")),
)  # fmt: skip

CUT = (
    Case("cut within a string", Book, '{"title": "Persuasion", "authors": ["Jane Austen"], "year": 1817, "isbn": "97801', REFUSED),
    Case("cut within a key", Book, '{"title": "Persuasion", "authors": ["Jane Austen"], "ye', REFUSED),
    Case("cut after a key", Book, '{"title": "Persuasion", "authors": ["Jane Austen"], "year"', REFUSED),
    Case("cut after a colon", Book, '{"title": "Persuasion", "authors": ["Jane Austen"], "year":', REFUSED),
    Case("cut with fields to come", Book, '{"title": "Persuasion", "authors": ["Jane Austen"]', REFUSED),
    Case("cut in the second record", list[Book], '[{"title": "Emma", "authors": ["Jane Austen"], "year": 1815, "isbn": "8"}, {"title": "Pers', REFUSED),
    Case("cut in a list of words", list[str], '["north", "south", "ea', REFUSED),
    Case("cut after a comma in a list", list[str], '["north", "south",', REFUSED),
    Case("cut after an opening bracket", Comment, '{"author": "reader1", "text": "First", "replies": [', REFUSED),
    Case("cut within true", Recipe, '{"title": "Soup", "serves": 4, "ingredients": [], "vegan": tr', REFUSED),
    Case("cut within a choice", Invoice, '{"number": "A-17", "currency": "EU', REFUSED),
    Case("cut in a nested list of records", Recipe, '{"title": "Soup", "serves": 4, "vegan": true, "ingredients": [{"name": "salt", "grams": 3}, {"name": "wat', REFUSED),
    Case("only a brace", Book, "{", REFUSED),
    Case("only a bracket", list[Book], "[", REFUSED),
    Case("only a fence", Book, "```json\n", REFUSED),
    Case("nothing", Book, "", REFUSED),
    Case("white space", Book, " \n\t ", REFUSED),
    Case("an empty object", Book, "{}", REFUSED),
    Case("null", Book, "null", REFUSED),
    Case("an empty list for a record", Book, "[]", REFUSED),
)  # fmt: skip

CLEAN = (
    _soup("clean, on one line", _SOUP),
    Case("clean, on many lines", Comment, _THREAD.replace(", ", ",\n    ").replace("{", "{\n"), THREAD),
    Case("clean, minified", Question, '{"question":"Which planet is largest?","options":["Mars","Jupiter","Venus"],"answer_index":1}', QUIZ),
    Case("clean, with an optional field", Book, '{"title": "Persuasion", "authors": ["Jane Austen"], "year": 1817, "isbn": "9780141439686", "rating": null}', BOOK),
    Case("clean, with escapes", Book, r'{"title": "A \"B\" \\ \/ \u00e9 \ud83d\ude00", "authors": [], "year": 1, "isbn": ""}', Book('A "B" \\ / é 😀', [], 1, "")),
    Case("clean list of words", list[str], '["a", "b"]', ["a", "b"]),
    Case("clean empty list", list[int], "[]", []),
    Case("clean empty map", dict[str, int], "{}", {}),
)  # fmt: skip

CASES = (*QUOTES, *COMMAS, *COLONS, *BRACKETS, *COMMENTS, *ELISIONS, *CUT, *CLEAN)
