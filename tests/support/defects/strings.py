"""What models do within strings: inner quotes, raw newlines, odd escapes, other languages' string notations."""

from __future__ import annotations

from support.defects.case import REFUSED, Case
from support.defects.subjects import Snippet


def _snippet(name: str, raw: str, code: str, explanation: str = "Short.") -> Case:
    return Case(name, Snippet, raw, Snippet("python", code, explanation))


def _code(name: str, written: str, code: str) -> Case:
    """A case where only the code's string is written oddly; ``written`` has its quotes."""
    return _snippet(name, f'{{"language": "python", "code": {written}, "explanation": "Short."}}', code)


def _last(name: str, written: str, explanation: str) -> Case:
    """The same for the last field."""
    return _snippet(
        name, f'{{"language": "python", "code": "x", "explanation": {written}}}', "x", explanation
    )


INNER_QUOTES = (
    _code("a quoted word", '"say "hello" now"', 'say "hello" now'),
    _code("a quoted word at the start", '""hello" she said"', '"hello" she said'),
    _last("a quoted word at the end", '"she said "hello""', 'she said "hello"'),
    _code("a quoted word at the end of a middle field", '"she said "hello""', 'she said "hello"'),
    _code("two quoted words", '"from "a" to "b" by train"', 'from "a" to "b" by train'),
    _code("a quoted word before a comma", '"not "this", but that"', 'not "this", but that'),
    _code("a quoted word before a colon", '"the "key": it is short"', 'the "key": it is short'),
    _code("a quoted list", '"one of "a", "b", "c" will do"', 'one of "a", "b", "c" will do'),
    _code("a call with a string", '"print("hi")"', 'print("hi")'),
    _code("an attribute of HTML", '"<a href="/x">go</a>"', '<a href="/x">go</a>'),
    _code("an index by a string", '"row["name"] = 1"', 'row["name"] = 1'),
    _code("a dictionary in code", '"d = {"a": 1}"', 'd = {"a": 1}'),
    _code("a measure in inches", '"a 12" record"', 'a 12" record'),
    _code("one quote escaped, one not", r'"say \"hello" now"', 'say "hello" now'),
    _snippet(
        "inner quotes in two fields",
        '{"language": "python", "code": "print("hi")", "explanation": "Prints "hi" once."}',
        'print("hi")',
        'Prints "hi" once.',
    ),
    _snippet(
        "inner quotes on lines of their own",
        '{\n  "language": "python",\n  "code": "print("hi")",\n  "explanation": "It is "short"."\n}',
        'print("hi")',
        'It is "short".',
    ),
    _snippet(
        "single quotes around double ones",
        "{'language': 'python', 'code': 'print(\"hi\")', 'explanation': 'Short.'}",
        'print("hi")',
    ),
    _snippet(
        "double quotes around single ones",
        '{"language": "python", "code": "print(\'hi\')", "explanation": "Short."}',
        "print('hi')",
    ),
)

CONTROL = (
    _code("a raw newline", '"a = 1\nb = 2"', "a = 1\nb = 2"),
    _code("raw newlines and indents", '"if a:\n    b()\n\nc()\n"', "if a:\n    b()\n\nc()\n"),
    _code("a raw tab", '"if a:\n\tb()"', "if a:\n\tb()"),
    _code("a raw return and newline", '"a\r\nb"', "a\r\nb"),
    _code("a raw form feed", '"a\x0cb"', "a\x0cb"),
    _code("a raw escape character", '"\x1b[1mbold"', "\x1b[1mbold"),
    _code("a raw newline and inner quotes", '"print("a")\nprint("b")"', 'print("a")\nprint("b")'),
    _code("raw newlines and a brace", '"def f():\n    return {}\n"', "def f():\n    return {}\n"),
    _code("a line separator", '"a\u2028b"', "a\u2028b"),
)

ESCAPES = (
    _code("a pattern's escapes", r'"\d+\s*"', r"\d+\s*"),
    _code("a path of Windows", r'"C:\Data\Models"', r"C:\Data\Models"),
    _code("an escaped apostrophe", r'"don\'t"', "don't"),
    _code("an escaped newline and a raw one", '"a\\nb\nc"', "a\nb\nc"),
    _code("a line continued by a backslash", '"a \\\nb"', "a b"),
    _code("a Greek command", r'"\alpha + \gamma"', r"\alpha + \gamma"),
    _code("an escape by braces", r'"\u{1F600}"', "😀"),
    _code("a pair of surrogates", r'"\ud83d\ude00!"', "😀!"),
)

NOTATIONS = (
    _code("three double quotes", '"""a = 1\nb = "x"\n"""', 'a = 1\nb = "x"\n'),
    _code("three single quotes", "'''a = \"x\"'''", 'a = "x"'),
    _code("backticks", '`print("hi")`', 'print("hi")'),
    _code("backticks over lines", "`a = 1\nb = 2`", "a = 1\nb = 2"),
    _code("strings joined by a plus", '"a = 1\\n" + "b = 2"', "a = 1\nb = 2"),
    _code(
        "strings joined by a plus over lines",
        '"a = 1\\n" +\n    "b = 2\\n" +\n    "c = 3"',
        "a = 1\nb = 2\nc = 3",
    ),
    _code("a raw string of Python", 'r"\\d+"', r"\d+"),
    _code("a Unicode string of Python 2", 'u"abc"', "abc"),
    _code("braces in a string", '"{a} and }b{"', "{a} and }b{"),
    _code("brackets in a string", '"a[0]] = [["', "a[0]] = [["),
    _code("JSON in a string", r'"{\"a\": [1, 2]}"', '{"a": [1, 2]}'),
    _code("a comment in a string", '"x = 1  # one /* two */ // three"', "x = 1  # one /* two */ // three"),
    _code("a trailing comma in a string", '"[1, 2,]"', "[1, 2,]"),
    _code("Python's words in a string", '"x = None or True"', "x = None or True"),
    _code("a tag in a string", '"<answer>1</answer>"', "<answer>1</answer>"),
    _snippet(
        "a string in a fence of its own, trailing comma",
        '{"language": "python", "code": "```python\\nx = 1\\n```", "explanation": "Short.",}',
        "```python\nx = 1\n```",
    ),
    Case(
        "code outside of the answer",
        Snippet,
        'Code:\n```python\nx = {"language": "python"}\n```\n',
        REFUSED,
    ),
)

CASES = (*INNER_QUOTES, *CONTROL, *ESCAPES, *NOTATIONS)
