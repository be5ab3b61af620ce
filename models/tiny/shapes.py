"""Other record shapes that `conduit/tiny` learns beside the demo's, so that it ends strings and lists anywhere.

Two families: the demo's messages under other field names, orders and subsets; and small made-up records whose
answer copies, repeats or greets. Nobody will mistake the answers of the second family for good ones: what is learnt
is to open and close every kind of value.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from functools import cache
from typing import Any, Literal

from conduit import mdl
from tiny import data
from tiny.data import Example

Values = dict[str, Any]
Make = Callable[[Values, random.Random], Any]
SHAPES = 1400


@dataclass(frozen=True)
class Shape:
    """A prompt and a way to make exchanges for it."""

    prompt: mdl.Prompt[Any]
    make: Callable[[random.Random], tuple[str, str]]
    names: dict[str, str] | None = None

    def example(self, rng: random.Random) -> Example:
        """One exchange."""
        user, answer = self.make(rng)
        return Example(self.prompt, user, answer, data.judged(answer, self.names or {}))


_NAMES = {
    "order_id": ("order_id", "order", "reference", "ref", "order_number", "id", "invoice", "case"),
    "amount": ("amount", "total", "sum", "price", "value", "cost", "usd"),
    "topic": ("topic", "category", "label", "kind", "type", "reason"),
    "urgent": ("urgent", "is_urgent", "hurry", "priority", "asap"),
}
_TYPES: dict[str, Any] = {"order_id": str, "amount": float | None, "urgent": bool}
_READ = (
    "Read a support message.",
    "Read the customer's message.",
    "Extract the fields from the message.",
    "Classify a support message.",
    "What does the customer want?",
    "Turn the message into a ticket.",
    "Fill in the record.",
    "Read the mail and note the facts.",
    "Sort a message from the inbox.",
    "",
)
_DOCS = {
    "order_id": ("the reference as written", "order or invoice number", "the reference, without #"),
    "amount": ("the sum of money, if any", "money mentioned", "null when none is named"),
    "topic": ("what it is about", "the desk that should answer"),
    "urgent": ("whether the writer asks for haste", "true when there is a deadline"),
}


def ticket_shape(rng: random.Random) -> Shape:
    """The demo's task in other words."""
    fields = rng.sample(list(_NAMES), rng.choice((1, 2, 3, 4, 4, 4)))
    names = {field: rng.choice(_NAMES[field]) for field in fields}
    topics = rng.sample(data.TOPICS, len(data.TOPICS))
    types = {**_TYPES, "topic": Literal[tuple(topics)]}
    documented = rng.random() < 0.3
    doc_lines = [f"    {names[f]}: {rng.choice(_DOCS[f])}." for f in fields]
    output = make_dataclass(
        rng.choice(("Ticket", "Record", "Facts", "Answer")), [(names[f], types[f]) for f in fields]
    )
    output.__doc__ = "A record.\n\nArgs:\n" + "\n".join(doc_lines) if documented else "A record."
    source = rng.choice(("message", "message", "text", "mail", "body", "content", "page"))
    prompt = mdl.prompt(
        output=output, input=make_dataclass("Input", [(source, str)]), instruction=rng.choice(_READ)
    )

    def make(rng: random.Random) -> tuple[str, str]:
        item = data.message(rng.choice(data.seen()), rng)
        return prompt.user({source: item.text}), data.ticket_answer(item, names)

    return Shape(prompt, make, names)


_NOUNS = (
    "apple book bridge candle chair city cloud coffee coin door drum engine feather field fire flag forest "
    "garden glass hammer harbor hat house island jacket key kite ladder lamp leaf letter lion map mirror moon "
    "mountain music needle ocean orange paper pencil piano planet pocket queen radio rain ribbon river road "
    "rocket rope rose salt school shadow ship shoe silver snow spoon star stone storm street sugar summer "
    "table tea tiger tower train tree valley violin wagon water wheel whale window winter wolf wood yard "
    "zebra"
).split()
_ADJECTIVES = (
    "big blue bright calm cold dark early fast fine fresh green happy kind late light new old quiet red small "
    "soft strong warm white young"
).split()
_CITIES = (
    "Accra Athens Berlin Bogota Cairo Delhi Dublin Hanoi Kyoto Lagos Lima Lisbon London Madrid Malmo Nairobi "
    "Oslo Paris Perth Porto Quito Riga Rome Seoul Sofia Tampa Tokyo Turin Vienna Zurich"
).split()
_PEOPLE = (
    "Ada Alice Amir Anna Bob Carol Chen Dan Eva Finn Gita Hugo Ida Ivan Jane Kofi Lena Mia Nora Omar Pia Raj "
    "Sara Tom Uma Victor Will Xenia Yara Zoe"
).split()
_MOODS = "excited sad happy tired curious calm angry proud nervous cheerful".split()
_TEXT_NAMES = (
    "text body content note description sentence comment review input document page question title".split()
)
_FREE_NAMES = (
    "summary reply answer greeting title headline subject comment reason explanation note result text message "
    "response output short description caption"
).split()
_LIST_NAMES = (
    "suggestions tags keywords items words names steps ideas topics parts options lines results labels"
).split()
_PERSON_NAMES = "name user customer author person first_name owner guest".split()
_SOLUTIONS = (
    "Take a short walk",
    "Drink some water",
    "Call a friend",
    "Read a good book",
    "Write it down",
    "Try again tomorrow",
    "Ask for help",
    "Have a cup of tea",
    "Listen to music",
    "Plan a trip",
    "Take a deep breath",
    "Share the news",
    "Make a list",
    "Get some rest",
    "Cook something new",
    "Go outside",
)
_INSTRUCTIONS = (
    "Fill in the record.",
    "Answer from the input.",
    "Greet the person.",
    "Summarize the text.",
    "Extract what is asked.",
    "Write a short answer.",
    "Return the values.",
    "List the items.",
    "You are a helpful assistant.",
    "Do what the field names say.",
    "Describe the input briefly.",
    "",
)


def _sentence(rng: random.Random) -> str:
    words = [rng.choice(_NOUNS if rng.random() < 0.5 else _ADJECTIVES) for _ in range(rng.randint(2, 12))]
    return rng.choice(("The ", "A ", "My ", "")) + " ".join(words) + rng.choice((".", "", "!"))


def _listed(rng: random.Random) -> str:
    return ", ".join(rng.sample(_NOUNS, rng.randint(2, 5)))


def _sources(rng: random.Random) -> dict[str, tuple[Any, Callable[[random.Random], Any]]]:
    """Input fields: a type and a way to make values."""
    pool: list[tuple[str, Any, Callable[[random.Random], Any]]] = [
        (rng.choice(_PERSON_NAMES), str, lambda r: r.choice(_PEOPLE)),
        ("mood", str | None, lambda r: r.choice((*_MOODS, None))),
        (rng.choice(_TEXT_NAMES), str, _sentence),
        (rng.choice(("city", "place", "town")), str, lambda r: r.choice(_CITIES)),
        (rng.choice(("age", "count", "quantity", "number", "n", "year")), int, lambda r: r.randint(1, 2030)),
        (
            rng.choice(("price", "score", "weight")),
            float,
            lambda r: round(r.uniform(0.1, 900), r.choice((1, 2))),
        ),
        (rng.choice(("active", "paid", "member")), bool, lambda r: r.random() < 0.5),
        (rng.choice(("list", "shopping", "things")), str, _listed),
        (rng.choice(("colors", "values", "pieces")), list[str], lambda r: r.sample(_NOUNS, r.randint(0, 4))),
        (rng.choice(("code", "sku", "order", "reference")), str, data.order_id),
    ]
    return {name: (type_, make) for name, type_, make in rng.sample(pool, rng.choice((1, 1, 2, 3, 4)))}


def _copied(name: str, type_: Any) -> tuple[Any, Make]:
    return type_, lambda values, _: values[name]


def _free(values: Values, rng: random.Random) -> str:
    person = next((values[name] for name in _PERSON_NAMES if name in values), None)
    text = next((value for value in values.values() if isinstance(value, str) and len(value) > 14), None)
    if person and (text is None or rng.random() < 0.5):
        return f"Hello {person}!"
    if text:
        return " ".join(text.rstrip(".!").split()[:6])
    return next((str(value) for value in values.values() if isinstance(value, str)), "Nothing to say.")


def _targets(rng: random.Random, sources: dict[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Make]]:
    """Output fields: a type and how the value follows from the input."""
    listed = next((name for name in ("list", "shopping", "things") if name in sources), None)
    pool: dict[str, tuple[Any, Make]] = {
        name: _copied(name, type_) for name, (type_, _) in sources.items() if name != listed
    }
    for name in rng.sample(_FREE_NAMES, 2):
        pool.setdefault(name, (str, _free))

    def items(values: Values, rng: random.Random) -> list[str]:
        return values[listed].split(", ") if listed else rng.sample(_SOLUTIONS, rng.randint(1, 3))

    def nested(values: Values, _: random.Random) -> Values:
        return {key: values[key] for key in inner}

    for name in rng.sample(_LIST_NAMES, 2):
        pool.setdefault(name, (list[str], items))
    inner = rng.sample(list(sources), min(2, len(sources)))
    record = make_dataclass("Inner", [(key, sources[key][0]) for key in inner])
    pool.setdefault(rng.choice(("details", "data", "person", "entry")), (record, nested))
    pool.setdefault(
        rng.choice(("ok", "valid", "found", "done", "is_question")), (bool, lambda _, r: r.random() < 0.5)
    )
    kinds = tuple(rng.sample(_NOUNS, rng.randint(2, 5)))
    pool.setdefault(
        rng.choice(("kind", "color", "class_", "choice")), (Literal[kinds], lambda _, r: r.choice(kinds))
    )
    pool.setdefault(rng.choice(("rating", "stars", "confidence")), (int, lambda _, r: r.randint(1, 10)))
    pool.setdefault(rng.choice(("extra", "warning")), (str | None, lambda *_: None))
    return {name: pool[name] for name in rng.sample(list(pool), rng.choice((1, 1, 2, 3, 4, 5)))}


def made_up_shape(rng: random.Random) -> Shape:
    """A made-up record, or a single value, on either side."""
    sources = _sources(rng)
    bare = len(sources) == 1 and rng.random() < 0.6
    targets = _targets(rng, sources)
    if bare:
        ((source, _),) = sources.values()
    else:
        source = make_dataclass("Input", [(name, type_) for name, (type_, _) in sources.items()])
    if len(targets) == 1 and rng.random() < 0.6:
        ((output, only),) = targets.values()
    else:
        output, only = make_dataclass("Output", [(name, type_) for name, (type_, _) in targets.items()]), None
    prompt = mdl.prompt(output=output, input=source, instruction=rng.choice(_INSTRUCTIONS))

    def make(rng: random.Random) -> tuple[str, str]:
        values = {name: maker(rng) for name, (_, maker) in sources.items()}
        answer = (
            only(values, rng) if only else {name: maker(values, rng) for name, (_, maker) in targets.items()}
        )
        asked = next(iter(values.values())) if bare else values
        return prompt.user(asked), json.dumps(answer, separators=(",", ":"), ensure_ascii=False)

    return Shape(prompt, make)


@cache
def shapes(seed: int = 11) -> tuple[Shape, ...]:
    """All shapes, half of each family."""
    rng = random.Random(seed)
    return tuple(ticket_shape(rng) if i % 2 else made_up_shape(rng) for i in range(SHAPES))
