"""One flow, to be run on whatever answers its model: ``python three_ways.py WAY CASSETTE [INSTRUCTION]``.

``WAY`` is ``flow`` for a flow of a Prefect server, ``record`` for the same with a cassette that listens, and
``replay`` for a plain function that the cassette answers, with the network cut. It prints the results as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Literal

from prefect import flow

from conduit import GPUS, ComputeProvider, LMLite, ModelConfig, block
from conduit.errors import CassetteMiss, MapFailed
from conduit.testing import cassette, plain_flows

MESSAGES = [
    "Order AB-123: I was charged 12.50 euros twice, please help at once!",
    "Where is my parcel? Order CD-456 was to come on Monday.",
    "I want to send order EF-789 back.",
    "Cancel order GH-012.",
]

where = ComputeProvider(os.environ["TEST_PROVIDER"])
lm = LMLite(
    models=[ModelConfig(os.environ["TEST_MODEL"], max_model_len=512, max_model_concurrency=8)],
    compute_provider=where,
    gpu=GPUS.NVIDIA_L4 if where is ComputeProvider.RUNPOD else None,
)


@dataclass
class Ticket:
    order_id: str
    amount: float | None
    topic: Literal["billing", "delivery", "return", "cancel"]
    urgent: bool


def read_ticket(message: str) -> Ticket:
    """Read a support message."""


if len(sys.argv) > 3:
    read_ticket.__doc__ = sys.argv[3]
read_ticket = lm.block(read_ticket)


@block
def counted(tickets: list[Ticket]) -> dict[str, int]:
    topics = [ticket.topic for ticket in tickets]
    return {topic: topics.count(topic) for topic in sorted(set(topics))}


@flow
def inbox(messages: list[str]) -> dict[str, Any]:
    tickets = read_ticket.map(messages, batch=2)
    first = read_ticket(messages[0])
    pieces = list(lm.stream(messages=[{"role": "user", "content": "Hello"}], max_tokens=8))
    return {
        "tickets": [asdict(ticket) for ticket in tickets],
        "first": asdict(first),
        "counted": counted(tickets),
        "text": "".join(pieces),
    }


def cut_the_network() -> None:
    """From here on whoever opens a connection, looks up a name or listens ends this process."""
    import uvloop

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen"):
            print(f"{event} {args!r:.100}", file=sys.stderr, flush=True)
            os._exit(70)

    sys.addaudithook(refuse)

    class Loop(uvloop.Loop):  # has its sockets from elsewhere
        async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
            refuse("socket.connect", args)

    uvloop.new_event_loop = Loop


def main(way: str, tape: str) -> None:
    with ExitStack() as stack:
        if way == "replay":
            cut_the_network()
            stack.enter_context(plain_flows())
        if way != "flow":
            stack.enter_context(cassette(tape, mode=way))  # type: ignore[arg-type] # a mode
        try:
            print(json.dumps(inbox(MESSAGES)))
        except (CassetteMiss, MapFailed) as error:
            miss = error if isinstance(error, CassetteMiss) else error.failures[0]
            assert isinstance(miss, CassetteMiss)
            print(json.dumps({"block": miss.block, "changed": miss.changed, "message": miss.message}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
