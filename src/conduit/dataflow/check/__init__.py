"""What will go wrong in a flow, told before anything runs.

A file is imported in a process of its own, so that its blocks, flows and LMLites are there as objects; its code is
read, and never run: which value goes where, and whether its type passes there. What cannot be told is not said.

    source · importing          the file as text | as a module, with nothing started
    reading                     top level, flows, blocks and functions of a file
    statements · expressions    what each name is, line by line
    places · parts · narrowing  where values go | attributes and items of values | what a condition says of them
    calls · block_calls         who is called with what, and what comes back
    edges · fits                a producer's type against a consumer's parameter
    shapes · scalars · takers   what types are made of | which scalars become which | takers of their own will
    definitions · models        blocks as they are defined | LMLites, models, memory
    findings · notes            what is found | collected
"""

from __future__ import annotations

from conduit.dataflow.check.findings import CODES, Finding, Report, Severity
from conduit.dataflow.check.process import check

__all__ = ["CODES", "Finding", "Report", "Severity", "check"]
