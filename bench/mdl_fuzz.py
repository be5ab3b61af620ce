"""Texts, types and schemas that are wrong in every way: no crash, no hang, and no error but Conduit's own.

Each case is made from a seed of its own, which a failure prints: ``--case SEED`` runs it again. With ``--atheris``,
where that is installed, libFuzzer looks for texts that reach new code; without it, texts are damaged by a grammar.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NoReturn

import _hostile as hostile
import _hostile_schemas as schemas
from _report import report

from conduit.errors import ConduitError
from conduit.mdl import StreamParser, from_text, json_schema, lower, parse, parse_schema, render
from conduit.mdl.python.read import read

BAR = 0
LIMIT_S = 2.0
SHOWN = 20
_NAME = 300  # characters of a case's name that are kept
ENGINES = ("llguidance", "xgrammar", "openai")


class Hang(BaseException):
    """A case ran past its limit. No subclass of Exception, so that nothing catches it."""


class Wrong(Exception):
    """A case broke a promise although it raised nothing."""


def parse_case(chance: random.Random) -> None:
    type_ = chance.choice(hostile.TYPES)
    check_parse(type_, hostile.answer(type_, chance), chance.random() < 0.2)


def check_parse(type_: Any, text: str, strict: bool) -> None:
    value = parse(text, type_, strict=strict).value
    if not strict:
        return
    lenient = parse(text, type_)
    if lenient.value != value and all(repair.kind != "text-to-null" for repair in lenient.repairs):
        raise Wrong("strict and lenient reading differ")


def schema_case(chance: random.Random) -> None:
    schema = schemas.schema(chance)
    text = hostile.damaged(json.dumps(hostile.value(chance)), chance, chance.randrange(4))
    parse_schema(text, schema, strict=chance.random() < 0.2)


def stream_case(chance: random.Random) -> None:
    type_ = chance.choice(hostile.TYPES)
    check_stream(type_, hostile.answer(type_, chance), chance.choice((1, 4, 16, 200)), chance.random() < 0.2)


def check_stream(type_: Any, text: str, size: int, truncated: bool) -> None:
    parser: StreamParser[Any] = StreamParser(type_)
    for start in range(0, len(text), size):
        if (partial := parser.feed(text[start : start + size])) is not None:
            json.dumps(partial.value)
    whole: StreamParser[Any] = StreamParser(type_)
    whole.feed(text)
    if whole.partial != parser.partial:
        raise Wrong(f"pieces show {parser.partial}, the whole shows {whole.partial}")
    parser.finish(truncated=truncated)


def text_case(chance: random.Random) -> None:
    text = render(chance.choice(hostile.TYPES))
    from_text(hostile.damaged(text, chance, chance.randrange(5)))


def type_case(chance: random.Random) -> None:
    type_ = hostile.drawn_type(chance)
    document = read(type_)
    if from_text(render(type_)) != document:
        raise Wrong(f"the text of {type_} reads back as another type")
    lower(json_schema(type_), chance.choice(ENGINES))
    parse(hostile.answer(type_, chance), type_)


def lower_case(chance: random.Random) -> None:
    lower(schemas.schema(chance), chance.choice(ENGINES))


CASES: dict[str, Callable[[random.Random], None]] = {
    "parse": parse_case,
    "stream": stream_case,
    "schema": schema_case,
    "text": text_case,
    "type": type_case,
    "lower": lower_case,
}
CHECKS: dict[str, Callable[[Any, str], None]] = {
    "parse": lambda type_, text: check_parse(type_, text, False),
    "stream": lambda type_, text: check_stream(type_, text, 7, False),
    "text": lambda _, text: from_text(text) and None,
}


class Run:
    """Counts cases and keeps the failures. What runs now stands in ``current``, should the process die."""

    def __init__(self, current: BinaryIO) -> None:
        self._current = current
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest = (0.0, "")
        self.started = time.perf_counter()

    def case(self, name: str, run: Callable[[], None]) -> None:
        self._say(name)
        started = time.perf_counter()
        kind = name.split(":", maxsplit=1)[0]
        try:
            with _limit(LIMIT_S):
                run()
            self.outcomes[f"{kind}: value"] += 1
        except ConduitError as error:
            self.outcomes[f"{kind}: {error.code}"] += 1
        except Exception as error:  # that is what is looked for
            self._failed(name, _told(error), traceback.extract_tb(error.__traceback__))
        except Hang as error:
            self._failed(name, f"ran past {LIMIT_S} s", traceback.extract_tb(error.__traceback__))
        taken = time.perf_counter() - started
        if taken > 2 * LIMIT_S:  # the limit came late: in code that gives no chance to stop it
            self._failed(name, f"took {taken:.1f} s", traceback.StackSummary())
        self.slowest = max(self.slowest, (taken, name))

    def _say(self, name: str) -> None:
        self._current.seek(0)
        self._current.write(name.encode(errors="replace")[:_NAME].ljust(_NAME))

    def _failed(self, name: str, problem: str, trace: traceback.StackSummary) -> None:
        where = next(
            (f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in reversed(trace) if "/mdl/" in f.filename),
            "",
        )
        self.failures.append(f"{name} {problem} {where}".rstrip())
        print(f"FAILED --case {self.failures[-1]}", flush=True)

    def finish(self) -> None:
        self._say("")
        seconds = time.perf_counter() - self.started
        cases = sum(self.outcomes.values()) + len(self.failures)
        for outcome, count in sorted(self.outcomes.items()):
            print(f"{count:8}  {outcome}")
        print(
            f"{cases} cases, {cases / seconds:.0f} a second, the slowest {self.slowest[0]:.2f} s: {self.slowest[1]}"
        )
        report(
            "mdl_fuzz",
            len(self.failures),
            BAR,
            "lower",
            cases=cases,
            cases_per_s=round(cases / seconds),
            slowest_s=round(self.slowest[0], 2),
            failures=self.failures[:SHOWN],
        )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(10 * seconds, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()


def run_case(run: Run, name: str) -> None:
    run.case(name, lambda: CASES[name.split(":", maxsplit=1)[0]](random.Random(name)))


def by_grammar(run: Run, seconds: float, seed: int, kinds: list[str]) -> None:
    number = 0
    while time.perf_counter() - run.started < seconds:
        for kind in kinds:
            run_case(run, f"{kind}:{seed}:{number}")
        number += 1


def by_coverage(run: Run, seconds: float) -> None:
    import atheris

    atheris.instrument_all()
    run.started = time.perf_counter()

    def one(data: bytes) -> None:
        check = list(CHECKS)[data[0] % len(CHECKS)] if data else "parse"
        type_ = hostile.TYPES[data[1] % len(hostile.TYPES)] if len(data) > 1 else str
        text = data[2:].decode(errors="replace")
        run.case(f"{check}:{type_}:{text!r}", lambda: CHECKS[check](type_, text))
        if time.perf_counter() - run.started > seconds:
            code = 0
            try:
                run.finish()
            except SystemExit as exit_:
                code = int(exit_.code or 0)
            sys.stdout.flush()
            os._exit(code)  # libFuzzer knows no other end

    seeds = [json.dumps(hostile.value_of(type_, random.Random(7))) for type_ in hostile.TYPES]
    atheris.Setup([sys.argv[0], "-max_len=10000", "-verbosity=0"], one)
    for number, text in enumerate(seeds):
        one(bytes([0, number]) + text.encode())
    atheris.Fuzz()


def watched() -> NoReturn:
    """Runs all in a process of its own, since a crash of compiled code ends the process."""
    with tempfile.NamedTemporaryFile() as current:
        child = subprocess.run([sys.executable, *sys.argv, "--current", current.name], check=False)
        last = current.read().decode(errors="replace").strip()
    if not last:
        sys.exit(child.returncode)
    print(f"DIED with exit code {child.returncode} at --case {last}")
    report("mdl_fuzz", 1, BAR, "lower", ok=False, died=last, exit_code=child.returncode)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=120)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--case", help="runs one case again, such as parse:1:42")
    arguments.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    arguments.add_argument("--atheris", action="store_true", help="looks for texts by coverage")
    arguments.add_argument("--current", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.current is None:
        watched()
    faulthandler.enable()
    run = Run(given.current.open("r+b", buffering=0))
    if given.case:
        run_case(run, given.case)
    elif given.atheris:
        by_coverage(run, given.seconds)
    else:
        by_grammar(run, given.seconds, given.seed, given.only)
    run.finish()


if __name__ == "__main__":
    main()
