"""Cassettes: a flow's model calls, recorded once and replayed without engine, server or network."""

from conduit.testing.cassettes.cassette import Tape, cassette
from conduit.testing.cassettes.recording import Recording

__all__ = ["Recording", "Tape", "cassette"]
