"""Functions within functions, lambdas, global names, loops that end early, contexts."""

import contextlib
import logging
import time

from prefect import flow

from conduit import LMLite, block, override
from conduit.testing import FakeLM

logger = logging.getLogger(__name__)
lm = LMLite("conduit/tiny")
SEEN = 0


@lm.block
def sentiment(text: str) -> float:
    """How friendly is the text, from 0 to 1?"""


@block
def grade(value: float, label: str = "") -> str:
    return f"{label}{value}"


@flow
def graded(texts: list[str]) -> list[str]:
    global SEEN  # noqa: PLW0603 # flows have them
    value = None

    def label(of: str) -> str:
        return grade(0.5, of)

    def late() -> str:
        return grade(value)

    for text in texts[:5]:
        if not text:
            continue
        value = sentiment(text)
        SEEN += 1
        if value > 0.9:
            break
    else:
        value = 0.1
    ranked = sorted(texts, key=lambda text: len(grade(len(text))))
    time.sleep(0)
    with contextlib.nullcontext() as nothing:
        logger.info("nothing: %s", nothing)
    return [label(ranked[0]), late()]


@flow
def tried(text: str) -> str:
    result = None
    for attempt in range(3):
        try:
            result = sentiment(text)
            break
        except ValueError:
            logger.warning("attempt %d", attempt)
    if result is None:
        return "none"
    return grade(result)


@flow
def ended(text: str) -> str:
    value: float | None = None
    while value is None:
        value = sentiment(text)
    return grade(value)


def test_graded() -> None:
    with override(lm=FakeLM({"sentiment": 0.5})):
        assert grade(sentiment("a")) == "0.5"
