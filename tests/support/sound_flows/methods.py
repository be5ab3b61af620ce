"""Blocks of methods, options, subflows, and flows that are configured."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Self, cast

from prefect import flow, get_run_logger

from conduit import LMLite, ModelConfig, block

lm = LMLite([ModelConfig("conduit/tiny", max_model_concurrency=4)])


@dataclass
class Desk:
    address: str
    sent: list[str] = field(default_factory=list)

    @block
    def post(self, text: str, *, urgent: bool = False) -> int:
        self.sent.append(text)
        return len(self.sent)

    @block
    @staticmethod
    def clean(text: str) -> str:
        return text.strip()

    @block
    @classmethod
    def open(cls, address: str) -> "Desk":
        return cls(address)

    @lm.block
    def reply(self, text: str) -> str:
        """Write a reply."""

    def named(self, name: str) -> Self:
        self.name = name
        return self


@lru_cache
def desk_of(address: str) -> Desk:
    return Desk(address)


def twice(function: Callable[[str], str], text: str) -> str:
    return function(function(text))


patient = Desk.clean.with_options(retries=2, timeout_s=5, tags=["slow"])


@flow(name="a desk", retries=1)
def at_desk(address: str, texts: list[str] | None = None) -> int:
    logger = get_run_logger()
    desk = Desk(address)
    for text in texts or []:
        logger.info(text)
    desk.post("hello", urgent=True)
    desk.post.map(desk.reply.map(Desk.clean.map(texts or ["a"])), urgent=True)
    other = Desk.open(address)
    other.post(patient(desk.named("b").name))
    Desk.post(other, "unbound")
    twice(patient, "a")
    partial(desk.post, urgent=False)("c")
    found = cast("list[str]", eval("[]"))
    kwargs: dict[str, Any] = {"urgent": True}
    desk.post(*found, **kwargs)
    return other.post(desk_of(address).sent[0])


@flow
def of_flows(address: str) -> int:
    total = at_desk(address, texts=["a", "b"])
    total += at_desk.with_options(name="again")(address)
    return total


if __name__ == "__main__":
    print(of_flows("desk@example.org"))
