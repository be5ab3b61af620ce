"""The simple methods that `conduit/tiny` is measured against: regular expressions, a bag of words, the majority."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tiny import data

FIELDS = ("order_id", "amount", "topic", "urgent")
TRAINING_MESSAGES = 20_000

_MONEY = re.compile(
    r"(?:[$£€]|\b(?:USD|EUR|GBP|CHF))\s?(\d[\d,]*(?:\.\d+)?)"
    r"|(\d[\d,]*(?:\.\d+)?)\s?(?:[$£€]|(?:USD|EUR|GBP|CHF|euros?|dollars?|pounds?|bucks|quid)\b)",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"\b[A-Z0-9]+(?:-[A-Z0-9]+)*\b")

Row = dict[str, Any]


def regex_amount(text: str) -> float | None:
    """The first number beside a currency."""
    found = _MONEY.search(text)
    return float((found[1] or found[2]).replace(",", "")) if found else None


def regex_order_id(text: str) -> str:
    """The longest word of capitals, digits and hyphens with three digits or more, sums of money aside."""
    candidates = _REFERENCE.findall(_MONEY.sub(" ", text))
    candidates = [word for word in candidates if len(word) >= 5 and sum(c.isdigit() for c in word) >= 3]
    return max(candidates, key=len, default="")


def baselines(rows: list[Row], seed: int = 3) -> dict[str, dict[str, float]]:
    """Share right by field and method; trained on as many made messages as fit, never on the rows."""
    rng = random.Random(seed)
    made = [data.message(rng.choice(data.seen()), rng) for _ in range(TRAINING_MESSAGES)]
    texts = [row["message"] for row in rows]
    answers: dict[str, dict[str, list[Any]]] = {
        "order_id": {"regex": [regex_order_id(text) for text in texts]},
        "amount": {"regex": [regex_amount(text) for text in texts]},
        "topic": {},
        "urgent": {},
    }
    for field in ("topic", "urgent"):
        labels = [getattr(message, field) for message in made]
        majority = Counter(labels).most_common(1)[0][0]
        words = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), min_df=2), LogisticRegression(max_iter=1000)
        )
        words.fit([message.text for message in made], labels)
        answers[field] = {"majority": [majority] * len(rows), "bag of words": list(words.predict(texts))}
    return {
        field: {method: _share(found, [row[field] for row in rows]) for method, found in methods.items()}
        for field, methods in answers.items()
    }


def _share(found: list[Any], expected: list[Any]) -> float:
    return sum(a == b for a, b in zip(found, expected, strict=True)) / len(expected)
