"""The data that `conduit/tiny` is trained on: support messages with known fields, made from written templates.

Templates (`text/templates` and `text/more`, a line each: `u|` urgent or `c|` not, then the message with
placeholders) and phrases that fit any topic (`text/phrases`) were written one by one. A share of the first folder,
chosen by hash, is never trained on: `unseen` makes the test set from it. Other record shapes are in `shapes`.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from conduit import mdl

HERE = Path(__file__).parent
Topic = Literal["billing", "delivery", "return", "cancel"]
TOPICS: tuple[str, ...] = get_args(Topic)
UNSEEN_PERCENT = 10


@dataclass
class Ticket:
    """The record of the demo, see `flows/inbox.py`."""

    order_id: str
    amount: float | None
    topic: Topic
    urgent: bool


def read_ticket(message: str) -> Ticket:
    """Read a support message."""


@dataclass(frozen=True)
class Template:
    """One written message; `text` has the placeholders."""

    topic: str
    urgent: bool
    text: str

    @property
    def unseen(self) -> bool:
        """Whether it is kept out of training. By hash of the text, so that it stays so whatever is added."""
        return int(hashlib.sha256(self.text.encode()).hexdigest(), 16) % 100 < UNSEEN_PERCENT


@dataclass(frozen=True)
class Message:
    """A filled message and its fields; `amount` is the number as written, without thousands commas."""

    text: str
    order_id: str
    amount: str | None
    topic: str
    urgent: bool


@dataclass(frozen=True)
class Example:
    """One exchange: a prompt's user text and the right answer, both as the model sees them.

    `judged` are the spans of the answer that no copying can get right, such as a label.
    """

    prompt: mdl.Prompt[Any]
    user: str
    answer: str
    judged: tuple[tuple[int, int], ...] = ()


@cache
def templates(folder: str = "templates") -> tuple[Template, ...]:
    """All written templates of a folder: the first ones, a share of which is unseen, or those of `more`."""
    found = []
    for topic in TOPICS:
        for line in (HERE / "text" / folder / f"{topic}.txt").read_text().splitlines():
            mark, text = line.split("|", 1)
            found.append(Template(topic, mark == "u", text))
    return tuple(found)


@cache
def phrases(kind: str) -> tuple[str, ...]:
    """Written phrases: `open`, `close`, `urgent`, `calm`, `ref` (with `{id}`), `amount` (with `{amount}`)."""
    return tuple((HERE / "text/phrases" / f"{kind}.txt").read_text().splitlines())


# --- values -------------------------------------------------------------------------------------------------------

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PREFIXES = (
    "ORD",
    "INV",
    "REF",
    "PO",
    "SO",
    "TX",
    "TK",
    "CN",
    "WEB",
    "SHP",
    "BK",
    "RMA",
    "GB",
    "US",
    "DE",
    "NL",
)
_NAMES = (
    "Anna Ben Carla David Elena Frank Grace Hassan Ines Jonas Kemi Lars Maria Nikos Olga Pedro Qing Rosa Sam Tara "
    "Uwe Vera Wei Yusuf Zoe Mrs_Hill Mr_Okafor Dr_Weber Ms_Costa J._Novak P._Singh"
).split()
_MONTHS = "January February March April May June July August September October November December".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def _digits(rng: random.Random, low: int, high: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(rng.randint(low, high)))


def order_id(rng: random.Random) -> str:
    """A reference of 5 to 13 capitals, digits and hyphens, at least three of them digits."""
    letters = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(1, 3)))
    prefix = rng.choice(_PREFIXES) if rng.random() < 0.4 else letters
    kinds: tuple[Callable[[], str], ...] = (
        lambda: f"{prefix}-{_digits(rng, 3, 7)}",
        lambda: f"{prefix}{_digits(rng, 4, 8)}",
        lambda: _digits(rng, 5, 10),
        lambda: f"{_digits(rng, 3, 6)}-{letters}",
        lambda: f"{prefix}-{_digits(rng, 2, 2)}-{_digits(rng, 3, 5)}",
        lambda: f"{prefix}-20{_digits(rng, 2, 2)}-{_digits(rng, 3, 4)}",
        lambda: f"{letters}{_digits(rng, 3, 5)}{rng.choice(_LETTERS)}",
        lambda: f"{_digits(rng, 3, 3)}-{_digits(rng, 3, 5)}",
        lambda: f"{_digits(rng, 1, 2)}{letters}{_digits(rng, 3, 5)}",
        lambda: f"{rng.choice(_LETTERS)}-{_digits(rng, 2, 3)}-{_digits(rng, 3, 4)}",
    )
    while True:
        found = rng.choice(kinds)()
        if 5 <= len(found) <= 13 and sum(c.isdigit() for c in found) >= 3:
            return found


_MONEY_FORMS = (
    *("${}", "${}", "${}", "£{}", "£{}", "€{}", "€{}", "{}€", "{} €", "$ {}"),
    *("{} euros", "{} euro", "{} EUR", "EUR {}", "{} dollars", "USD {}", "{} USD"),
    *("{} pounds", "GBP {}", "{} GBP", "{} bucks", "{} quid", "{}$", "CHF {}", "{} Euro"),
)


def money(rng: random.Random) -> tuple[str, str]:
    """A sum as written and its plain number, such as `€1,250.00` and `1250.00`."""
    whole = int(10 ** rng.uniform(0.3, 3.7))
    if rng.random() < 0.25:
        whole = max(5, round(whole / 5) * 5)
    cents = rng.choice(
        ("", "", "", ".00", ".99", ".95", ".50", ".90", f".{_digits(rng, 2, 2)}", f".{_digits(rng, 2, 2)}")
    )
    shown = f"{whole:,}" if whole >= 1000 and rng.random() < 0.6 else str(whole)
    shown += cents
    form = rng.choice(_MONEY_FORMS)
    return form.format(shown), f"{whole}{cents}"


def _date(rng: random.Random) -> str:
    day, month = rng.randint(1, 28), rng.randint(1, 12)
    name = rng.choice(_MONTHS)
    return rng.choice(
        (
            f"{day} {name}",
            f"{name} {day}",
            f"{day}/{month:02}",
            f"{day:02}.{month:02}.",
            f"{day} {name[:3]}",
            f"{rng.choice(_DAYS)} the {day}th",
            f"{rng.choice(_DAYS)}",
            f"the {day}th of {name}",
        )
    )


def _time(rng: random.Random) -> str:
    return rng.choice(
        (f"{rng.randint(1, 12)} pm", f"{rng.randint(7, 21)}:{rng.choice(('00', '15', '30'))}", "noon")
    )


def _phone(rng: random.Random) -> str:
    local = f"0{_digits(rng, 3, 4)} {_digits(rng, 5, 6)}"
    return rng.choice((local, f"+{_digits(rng, 2, 2)} {_digits(rng, 9, 9)}", f"555-{_digits(rng, 4, 4)}"))


def _postcode(rng: random.Random) -> str:
    plain = _digits(rng, 5, 5)
    first = f"{rng.choice(_LETTERS)}{rng.choice(_LETTERS)}{rng.randint(1, 20)}"
    second = f"{rng.randint(1, 9)}{rng.choice(_LETTERS)}{rng.choice(_LETTERS)}"
    return rng.choice((plain, f"{first} {second}"))


_NUMBERS = (2, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 15, 20, 24, 38, 40, 42, 50)
_OTHERS: dict[str, Callable[[random.Random], str]] = {
    "{date}": _date,
    "{time}": _time,
    "{phone}": _phone,
    "{postcode}": _postcode,
    "{name}": lambda rng: rng.choice(_NAMES).replace("_", " "),
    "{n}": lambda rng: str(rng.choice(_NUMBERS)),
}


def _fill(text: str, rng: random.Random) -> tuple[str, str, str | None]:
    identifier, amount = order_id(rng), None
    # A template may write "#{id}" itself; elsewhere people put the sign themselves now and then.
    shown = identifier if "#{id}" in text or rng.random() < 0.85 else f"#{identifier}"
    text = text.replace("{id}", shown)
    if "{amount}" in text:
        written, amount = money(rng)
        text = text.replace("{amount}", written)
    for mark, make in _OTHERS.items():
        while mark in text:
            text = text.replace(mark, make(rng), 1)
    return text, identifier, amount


# --- messages -----------------------------------------------------------------------------------------------------

_AROUND_ID = re.compile(r"\s*[(\[]?(?:no\.|number|#|nr\.?|num)?\s*#?\{id\}[)\]]?", re.IGNORECASE)


def _join(parts: list[str], rng: random.Random) -> str:
    text = ""
    for part in parts:
        if text and text[-1] not in ".!?,:;-" and rng.random() < 0.7:
            text += "."
        text += (" " if text else "") + part
    return text


def _slipped(word: str, rng: random.Random) -> str:
    """The word with a letter left out or two swapped."""
    at = rng.randrange(1, len(word) - 1)
    return rng.choice((word[:at] + word[at + 1 :], word[:at] + word[at + 1] + word[at] + word[at + 2 :]))


def _noise(text: str, rng: random.Random) -> str:
    """Word drops, slips of the finger and lower case, never inside a placeholder."""
    if rng.random() < 0.12:
        text = text.lower()
    if rng.random() < 0.06:
        text = re.sub(r"[.,!?](?= |$)", "", text)
    drop = rng.choice((0, 0, 0.04, 0.12))
    slip = rng.choice((0, 0, 0, 0.03))
    words = []
    for word in text.split(" "):
        if "{" in word:
            words.append(word)
        elif rng.random() >= drop:
            words.append(_slipped(word, rng) if len(word) > 3 and rng.random() < slip else word)
    return " ".join(words)


def message(template: Template, rng: random.Random, *, plain: bool = False) -> Message:
    """Fills a template. `plain` adds nothing but the values, for the test set."""
    text, urgent = template.text, template.urgent
    if not plain:
        before: list[str] = []
        after: list[str] = []
        if rng.random() < 0.25:
            bare = _AROUND_ID.sub("", text)
            (before if rng.random() < 0.4 else after).append(rng.choice(phrases("ref")))
            text = bare
        if "{amount}" not in text and rng.random() < 0.25:
            (before if rng.random() < 0.2 else after).append(rng.choice(phrases("amount")))
        if not urgent:
            chance = rng.random()
            if chance < 0.17:
                urgent = True
                (before if rng.random() < 0.25 else after).append(rng.choice(phrases("urgent")))
            elif chance < 0.55:
                (before if rng.random() < 0.25 else after).append(rng.choice(phrases("calm")))
        rng.shuffle(after)
        if rng.random() < 0.3:
            before.insert(0, rng.choice(phrases("open")))
        if rng.random() < 0.3:
            after.append(rng.choice(phrases("close")))
        text = _noise(_join([*before, text, *after], rng), rng)
    filled, identifier, amount = _fill(text, rng)
    return Message(filled, identifier, amount, template.topic, urgent)


def ticket_answer(item: Message, names: dict[str, str] | None = None) -> str:
    """The right answer for a message; `names` maps field to written name and gives the order."""
    values = {
        "order_id": json.dumps(item.order_id),
        "amount": item.amount or "null",
        "topic": json.dumps(item.topic),
        "urgent": json.dumps(item.urgent),
    }
    names = names or {field: field for field in values}
    return "{" + ",".join(f'"{written}":{values[field]}' for field, written in names.items()) + "}"


def judged(answer: str, names: dict[str, str] | None = None) -> tuple[tuple[int, int], ...]:
    """Where topic and urgency stand in a ticket's answer."""
    written = [(names or {}).get(field, field if names is None else "") for field in ("topic", "urgent")]
    found = (re.search(rf'"{name}":("?\w+"?)', answer) for name in written if name)
    return tuple(match.span(1) for match in found if match)


@cache
def ticket_prompt() -> mdl.Prompt[Ticket]:
    """The demo's prompt."""
    return mdl.prompt(read_ticket)


def ticket_example(rng: random.Random) -> Example:
    """One training example of the demo's own task."""
    item = message(rng.choice(seen()), rng)
    answer = ticket_answer(item)
    return Example(ticket_prompt(), ticket_prompt().user({"message": item.text}), answer, judged(answer))


@cache
def seen() -> tuple[Template, ...]:
    """The templates that are trained on. Those of `more` were written after the test sets were frozen."""
    return (*(template for template in templates() if not template.unseen), *templates("more"))


def unseen(seed: int = 7, per_template: int = 3) -> list[dict[str, Any]]:
    """The test set from templates that are never trained on, as rows like those of the hand-written set."""
    rng = random.Random(seed)
    rows = []
    for template in templates():
        if template.unseen:
            for _ in range(per_template):
                item = message(template, rng, plain=True)
                amount = None if item.amount is None else float(item.amount)
                rows.append(
                    {
                        "message": item.text,
                        "order_id": item.order_id,
                        "amount": amount,
                        "topic": item.topic,
                        "urgent": item.urgent,
                    }
                )
    return rows
