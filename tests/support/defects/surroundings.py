"""What stands around an answer: prose, fences, thinking, tags, echoes of the schema, drafts before the final word."""

# ruff: noqa: E501, RUF001 -- an answer is not broken over lines, and its odd characters are the point

from __future__ import annotations

from support.defects.case import REFUSED, Case
from support.defects.subjects import BOOK, MOVE, QUIZ, READING, REVIEW, Book, Move, Question, Reading, Review

_REVIEW = '{"stars": 4, "sentiment": "positive", "would_buy_again": true, "quote": "Warm and light"}'
_OTHER = '{"stars": 2, "sentiment": "negative", "would_buy_again": false, "quote": "Too thin"}'
_MOVE = '{"piece": "knight", "from_square": "g1", "to_square": "f3", "is_capture": false}'
_BOOK = '{"title": "Persuasion", "authors": ["Jane Austen"], "year": 1817, "isbn": "9780141439686"}'
_QUIZ = '{"question": "Which planet is largest?", "options": ["Mars", "Jupiter", "Venus"], "answer_index": 1}'
_READING = '{"station": "Harbour", "celsius": -3.5, "humidity": 81, "sky": "partly cloudy"}'


def _around(name: str, raw: str) -> Case:
    return Case(name, Review, raw, REVIEW)


PROSE = (
    _around("a polite opening", f"Certainly! Here is the review as JSON:\n\n{_REVIEW}"),
    _around("a closing offer", f"{_REVIEW}\n\nLet me know if you would like more detail."),
    _around("prose on both sides", f"I read the text twice. {_REVIEW} That is my reading of it."),
    _around(
        "prose with braces in it",
        f"I filled the template {{stars}}/{{quote}} for you.\n{_REVIEW}\nAll {{}} done.",
    ),
    _around("prose with brackets in it", f"As asked [see the brief, items 1 and 2], the review:\n{_REVIEW}"),
    _around(
        "prose with a set of words", f"The sentiment is one of {{positive, negative, mixed}}.\n{_REVIEW}"
    ),
    _around("prose with an apostrophe", f"It's what you'd expect, I think:\n{_REVIEW}\nThat's it."),
    _around("prose with a lone quote mark", f'The screen is 5" wide, if I recall.\n{_REVIEW}'),
    _around("an emphatic label", f"**Answer:** {_REVIEW}"),
    _around("a plain label", f"Answer: {_REVIEW}"),
    _around("a label that names the format", f"JSON: {_REVIEW}"),
    _around("a heading", f"## Result\n\n{_REVIEW}\n"),
    _around("a bullet", f"- {_REVIEW}"),
    _around("a block quote", f"> {_REVIEW}"),
    _around("an assignment", f"const review = {_REVIEW};"),
    _around("a Python assignment", f"review = {_REVIEW}"),
    _around("a function call", f"submit_review({_REVIEW})"),
    _around("a byte order mark", f"\ufeff{_REVIEW}"),
    _around("no-break spaces around", f"\u00a0\u00a0{_REVIEW}\u00a0"),
    _around("no-break spaces inside", _REVIEW.replace(": ", ":\u00a0")),
    _around("a zero-width space", f"\u200b{_REVIEW}"),
    _around("a speaker's label", f"assistant: {_REVIEW}"),
    _around("an end-of-turn token", f"{_REVIEW}<|im_end|>"),
    _around("an end-of-text token after a newline", f"{_REVIEW}\n<|endoftext|>"),
    _around("a token of another family", f"{_REVIEW}</s>"),
    _around("a note in brackets at the end", f"{_REVIEW}\n\n[End of answer]"),
    _around("a rule below", f"{_REVIEW}\n---\n"),
    Case("a list's bullets in the prose", Book, f"Facts used:\n- novel\n- posthumous\n\n{_BOOK}", BOOK),
    Case("Chinese prose", Book, f"好的，以下是结果：\n{_BOOK}\n希望对你有帮助！", BOOK),
    Case("German prose", Move, f"Gerne! Der Zug lautet:\n{_MOVE}", MOVE),
)

FENCES = (
    _around("a fence", f"```json\n{_REVIEW}\n```"),
    _around("a fence without a language", f"```\n{_REVIEW}\n```"),
    _around("a fence in capitals", f"```JSON\n{_REVIEW}\n```"),
    _around("a JSON5 fence", f"```json5\n{_REVIEW}\n```"),
    _around("a JavaScript fence", f"```javascript\n{_REVIEW}\n```"),
    _around("a fence of tildes", f"~~~json\n{_REVIEW}\n~~~"),
    _around("a fence of four", f"````json\n{_REVIEW}\n````"),
    _around("an unclosed fence", f"```json\n{_REVIEW}"),
    _around("only a closing fence", f"{_REVIEW}\n```"),
    _around("a fence on one line", f"```json {_REVIEW} ```"),
    _around("a fence without line breaks", f"```json{_REVIEW}```"),
    _around("an indented fence", f"  1. Done:\n\n     ```json\n     {_REVIEW}\n     ```"),
    _around("single backticks", f"`{_REVIEW}`"),
    _around("the language without its fence", f"json\n{_REVIEW}"),
    _around("a fence inside prose", f"Here you go:\n```json\n{_REVIEW}\n```\nAnything else?"),
    _around("a fence with Windows line ends", f"```json\r\n{_REVIEW}\r\n```\r\n"),
    _around(
        "a block of another language first", f"```python\nprint('hello {{}}')\n```\n\n```json\n{_REVIEW}\n```"
    ),
    _around("a shell block after", f"```json\n{_REVIEW}\n```\n\n```sh\ncat review.json | jq .stars\n```"),
    _around("the same block twice", f"```json\n{_REVIEW}\n```\n\nOnce more:\n\n```json\n{_REVIEW}\n```"),
    Case(
        "the same value in two notations",
        Move,
        f"```json\n{_MOVE}\n```\nIn Python:\n```python\n{_MOVE.replace('false', 'False')}\n```",
        MOVE,
    ),
    _around(
        "a block of another shape first",
        f'Input:\n```json\n{{"text": "Warm and light, four stars"}}\n```\nOutput:\n```json\n{_REVIEW}\n```',
    ),
    _around(
        "a draft, then the final answer",
        f"Draft:\n```json\n{_OTHER}\n```\n\nFinal answer:\n```json\n{_REVIEW}\n```",
    ),
    _around(
        "a correction, then the final one", f"{_OTHER}\n\nWait, I mixed up two texts. Final answer: {_REVIEW}"
    ),
    Case(
        "a fence within a string",
        Book,
        '{"title": "```json in a title```", "authors": ["a"], "year": 2001, "isbn": "1"}',
        Book("```json in a title```", ["a"], 2001, "1"),
    ),
    Case(
        "a fence within a string within a fence",
        Book,
        '```json\n{"title": "Use ``` for code", "authors": ["a"], "year": 2001, "isbn": "1"}\n```',
        Book("Use ``` for code", ["a"], 2001, "1"),
    ),
)

THINKING = (
    _around("thinking", f"<think>\nFour stars, I would say.\n</think>\n\n{_REVIEW}"),
    _around("empty thinking", f"<think>\n\n</think>\n\n{_REVIEW}"),
    _around("thinking that tries another value", f"<think>\nPerhaps {_OTHER}? No.\n</think>\n{_REVIEW}"),
    _around("thinking in a fence", f"<think>```json\n{_OTHER}\n```</think>\n```json\n{_REVIEW}\n```"),
    _around("only the end of thinking", f"Perhaps {_OTHER}? No, it praises.\n</think>\n\n{_REVIEW}"),
    _around("thinking by its long name", f"<thinking>It praises.</thinking>\n{_REVIEW}"),
    _around("two thoughts", f"<think>One.</think>\n<think>{_OTHER}</think>\n{_REVIEW}"),
    _around("reasoning tags", f"<reasoning>Two or four? {_OTHER} is too low.</reasoning>\n{_REVIEW}"),
    Case(
        "a tag of thinking within a string",
        Review,
        '{"stars": 3, "sentiment": "mixed", "would_buy_again": false, "quote": "it writes <think> a lot"}',
        Review(stars=3, sentiment="mixed", would_buy_again=False, quote="it writes <think> a lot"),
    ),
    Case("thinking that never ends", Review, f"<think>\nPerhaps {_OTHER}, or else", REFUSED),
    Case("an answer in the thoughts alone", Review, f"<think>{_REVIEW}</think>", REFUSED),
)

TAGS = (
    _around("an answer tag", f"<answer>{_REVIEW}</answer>"),
    _around("an output tag on lines of its own", f"<output>\n{_REVIEW}\n</output>"),
    _around("a tag with an attribute", f'<result format="json">\n{_REVIEW}\n</result>'),
    _around("a tag around a fence", f"<json>\n```json\n{_REVIEW}\n```\n</json>"),
    _around("a tag that is never closed", f"<answer>\n{_REVIEW}"),
    _around("a tool call", f'<tool_call>\n{{"name": "Review", "arguments": {_REVIEW}}}\n</tool_call>'),
    _around(
        "a function call with its arguments as text",
        '{"name": "Review", "arguments": "{\\"stars\\": 4, \\"sentiment\\": \\"positive\\", '
        '\\"would_buy_again\\": true, \\"quote\\": \\"Warm and light\\"}"}',
    ),
    _around("HTML entities", _REVIEW.replace('"', "&quot;")),
    Case("a code tag", Move, f"<pre><code>{_MOVE}</code></pre>", MOVE),
)

_SCHEMA = (
    '{"type": "object", "properties": {"question": {"type": "string"}, "options": {"type": "array", "items": '
    '{"type": "string"}}, "answer_index": {"type": "integer"}}, "required": ["question", "options", "answer_index"]}'
)

ECHOES = (
    Case("the schema, then the answer", Question, f"{_SCHEMA}\n{_QUIZ}", QUIZ),
    Case(
        "the schema and the answer in fences",
        Question,
        f"```json\n{_SCHEMA}\n```\n```json\n{_QUIZ}\n```",
        QUIZ,
    ),
    Case("the answer, then the schema", Question, f"{_QUIZ}\nIt follows the schema {_SCHEMA}.", QUIZ),
    Case("the answer within properties", Question, f'{{"type": "object", "properties": {_QUIZ}}}', QUIZ),
    Case(
        "the type's text, then the answer",
        Question,
        f"question: str\noptions: List[str](len>=2, len<=5)\nanswer_index: int(>=0)\n\n{_QUIZ}",
        QUIZ,
    ),
    Case(
        "the interface, then the answer",
        Question,
        "interface Question { question: string; options: string[]; answer_index: number; }\n\n" + _QUIZ,
        QUIZ,
    ),
    Case("the schema alone", Question, _SCHEMA, REFUSED),
    Case(
        "the schema of a map alone",
        dict[str, str],
        '{"type": "object", "additionalProperties": {"type": "string"}}',
        REFUSED,
    ),
)

CONTRADICTIONS = (
    Case("two answers that differ: the first", Review, f"{_REVIEW}\n{_OTHER}", REVIEW),
    Case("two blocks that differ", Review, f"```json\n{_REVIEW}\n```\nor\n```json\n{_OTHER}\n```", REFUSED),
    Case("two options by name", Review, f"Option A: {_REVIEW}\nOption B: {_OTHER}", REFUSED),
    Case(
        "two moves",
        Move,
        f"Either {_MOVE} or {_MOVE.replace('g1', 'e1').replace('knight', 'queen')}.",
        REFUSED,
    ),
    Case("one right answer among others", Reading, f'{{"sky": 1}} {_READING} {{"note": 2}}', READING),
)

CASES = (*PROSE, *FENCES, *THINKING, *TAGS, *ECHOES, *CONTRADICTIONS)
