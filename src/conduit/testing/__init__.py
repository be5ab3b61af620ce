"""Testing flows without a model, a server or a network; all of it is part of the public interface.

``FakeLM`` answers in a model's place while ``override`` is in force, ``cassette`` records a model's answers once
and gives them again, ``approving`` answers in a person's place. ``plain_flows`` runs flows as plain functions, and
``FakeProvider`` rents machines that exist in memory only.

    fake = FakeLM({"triage": Ticket("billing", urgent=False, summary="refund")})
    with override(lm=fake):
        assert triage("Where is my money?").category == "billing"
    assert fake.calls[0].block == "triage"
"""

from conduit.dataflow.approval import Question, approving
from conduit.lmlite.calls.substitute import override
from conduit.lmlite.request import LMReply, LMRequest
from conduit.testing.cassettes import Tape, cassette
from conduit.testing.fake_lm import FakeLM, Raw
from conduit.testing.fake_provider import FakeProvider
from conduit.testing.plain_flows import plain_flows

__all__ = [
    "FakeLM",
    "FakeProvider",
    "LMReply",
    "LMRequest",
    "Question",
    "Raw",
    "Tape",
    "approving",
    "cassette",
    "override",
    "plain_flows",
]
