"""Cassettes: recorded once, replayed the same, and a call that is not on one says what changed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conduit import LMLite, override
from conduit.errors import (
    ArgumentInvalid,
    CassetteError,
    CassetteMiss,
    OutputTruncated,
    PromptTooLong,
    ReplicaLost,
)
from conduit.mdl import Partial
from conduit.testing import FakeLM, LMRequest, Raw, cassette


@dataclass
class Ticket:
    summary: str
    urgent: bool


lm = LMLite("conduit/tiny")


@lm.block
def triage(message: str, most: int = 3) -> Ticket:
    """Classify a support message."""


def recorded(path: Path, work: Callable[[], Any], answers: Any = None, **options: Any) -> Any:
    """What ``work`` gives while a fake answers and a cassette listens."""
    with override(lm=FakeLM(answers)), cassette(path, **options) as tape:
        assert tape.recording
        return work()


def replayed(path: Path, work: Callable[[], Any], **options: Any) -> Any:
    """What ``work`` gives from the cassette, with no model within reach."""
    with cassette(path, mode="replay", **options) as tape:
        value = work()
    assert tape.unused == ()
    return value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tapes" / "triage.json"


def numbered() -> Callable[[LMRequest], Any]:
    """Answers that differ from call to call."""
    count = iter(range(100))
    return lambda _: Ticket(f"number {next(count)}", urgent=False)


def test_a_session_replays_as_it_was_recorded(path: Path) -> None:
    def session() -> list[Any]:
        return [
            triage("Where is my money?"),
            triage("It crashes."),
            triage("It crashes."),
            lm(input="Refund", output=Ticket, guidance="Summarize."),
        ]

    before = recorded(path, session, numbered())
    assert [ticket.summary for ticket in before] == ["number 0", "number 1", "number 2", "number 3"]
    assert replayed(path, session) == before


def test_auto_records_when_there_is_no_file_and_replays_when_there_is(path: Path) -> None:
    with override(lm=FakeLM(numbered())) as fake:
        for recording in (True, False):
            with cassette(path) as tape:
                assert tape.recording is recording
                assert triage("Hello").summary == "number 0"
    assert len(fake.calls) == 1
    assert [call.asked.block for call in tape.calls] == ["triage"]


def test_the_setting_decides_what_auto_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_CASSETTES", "replay")
    with pytest.raises(CassetteError, match="There is no cassette"), cassette(path):
        pass
    monkeypatch.setenv("CONDUIT_CASSETTES", "record")
    path.parent.mkdir()
    path.write_text("no cassette")
    with override(lm=FakeLM()), cassette(path):
        triage("Hello")
    assert json.loads(path.read_text())["calls"][0]["prompt"] == "triage"


def test_streams_replay_as_streams(path: Path) -> None:
    def session() -> list[Any]:
        asked = {"messages": [{"role": "user", "content": "Hi"}]}
        return [*lm.stream(**asked), *lm.stream(input="x", output=Ticket)]

    before = recorded(path, session, {"chat": "Hello there, you", "Ticket": Ticket("a crash", urgent=True)})
    assert before[:3] == ["Hello ", "there, ", "you"]
    assert isinstance(before[4], Partial)
    assert replayed(path, session) == before


def test_a_stream_that_its_reader_left_replays_up_to_there(path: Path) -> None:
    def first_pieces(count: int) -> list[str]:
        stream = lm.stream(messages=[{"role": "user", "content": "Count"}])
        pieces = [piece for piece, _ in zip(stream, range(count), strict=False)]
        stream.close()
        return pieces

    endless = " ".join(map(str, range(2000)))  # far more than fits between writer and reader
    before = recorded(path, lambda: first_pieces(3), {"chat": endless})
    assert json.loads(path.read_text())["calls"][0]["left"] is True
    assert replayed(path, lambda: first_pieces(3)) == before == ["0 ", "1 ", "2 "]
    with pytest.raises(CassetteMiss, match="its reader left it there"):
        replayed(path, lambda: first_pieces(1900))


def test_answers_that_are_no_value_replay_as_the_errors_that_they_were(path: Path) -> None:
    cut = Raw('{"summary": "the app cra', finish_reason="length")

    def session() -> OutputTruncated:
        with pytest.raises(OutputTruncated) as raised:
            triage("It crashes.")
        return raised.value

    before, after = recorded(path, session, {"triage": cut}), replayed(path, session)
    assert (after.message, after.partial, after.completion_tokens) == (
        before.message,
        {"summary": "the app cra"},
        before.completion_tokens,
    )


def test_corrected_answers_replay_with_their_corrections(path: Path) -> None:
    answers = {"triage": [Raw('{"summary": 3}'), Ticket("a crash", urgent=True)]}
    assert recorded(path, lambda: triage("It crashes."), answers) == Ticket("a crash", urgent=True)
    assert len(json.loads(path.read_text())["calls"]) == 2
    assert replayed(path, lambda: triage("It crashes.")) == Ticket("a crash", urgent=True)


def test_errors_of_the_request_replay_with_type_and_attributes(path: Path) -> None:
    too_long = PromptTooLong("5000 tokens", hint="less", status=400, model_id="conduit/tiny")

    def session() -> PromptTooLong:
        with pytest.raises(PromptTooLong) as raised:
            triage("long")
        return raised.value

    recorded(path, session, {"triage": too_long})
    after = replayed(path, session)
    assert (after.message, after.hint, after.attributes) == (
        "5000 tokens",
        "less",
        {"status": 400, "model_id": "conduit/tiny"},
    )


def test_a_call_that_failed_for_the_moment_and_was_made_again_is_kept_once(path: Path) -> None:
    again = triage.with_options(retries=1)
    answers = {"triage": [ReplicaLost("gone", replica="n1"), Ticket("a crash", urgent=True)]}
    assert recorded(path, lambda: again("It crashes."), answers) == Ticket("a crash", urgent=True)
    assert len(json.loads(path.read_text())["calls"]) == 1
    assert replayed(path, lambda: again("It crashes.")) == Ticket("a crash", urgent=True)


def instruction() -> Any:
    def triage(message: str, most: int = 3) -> Ticket:
        """Sort a support message."""

    return lm.block(triage)("Hello")


def signature() -> Any:
    def triage(message: str, most: float = 3) -> Ticket:
        """Classify a support message."""

    return lm.block(triage)("Hello")


def result() -> Any:
    def triage(message: str, most: int = 3) -> list[Ticket]:
        """Classify a support message."""

    return lm.block(triage)("Hello")


def examples() -> Any:
    def triage(message: str, most: int = 3) -> Ticket:
        """Classify a support message."""

    shown = [({"message": "Hi"}, Ticket("none", urgent=False))]
    return lm.block(examples=shown)(triage)("Hello")


def sampling() -> Any:
    def triage(message: str, most: int = 3) -> Ticket:
        """Classify a support message."""

    return lm.block(temperature=0.5)(triage)("Hello")


def model() -> Any:
    def triage(message: str, most: int = 3) -> Ticket:
        """Classify a support message."""

    return LMLite("conduit/large").block(triage)("Hello")


def renamed() -> Any:
    def sort(message: str, most: int = 3) -> Ticket:
        """Classify a support message."""

    return lm.block(sort)("Hello")


@pytest.mark.parametrize(
    ("call", "changed", "lines"),
    [
        (instruction, "instruction", ["-Classify a support message.", "+Sort a support message."]),
        (signature, "signature", ["-most: int = 3", "+most: float = 3"]),
        (result, "signature", ["-summary: str"]),
        (examples, "examples", ["+EXAMPLES"]),
        (sampling, "sampling", ['+ "temperature": 0.5']),
        (model, "model", ["-conduit/tiny", "+conduit/large"]),
        (renamed, "block", ["-triage", "+sort"]),
        (lambda: triage("Hello, you"), "input", ['- "message": "Hello"', '+ "message": "Hello, you"']),
    ],
)
def test_a_miss_names_the_block_and_what_changed(
    path: Path, call: Callable[[], Any], changed: str, lines: list[str]
) -> None:
    recorded(path, lambda: [triage("Something else entirely"), triage("Hello")])
    with pytest.raises(CassetteMiss) as raised:
        replayed(path, call)
    assert raised.value.changed == (changed,)
    assert raised.value.block == ("sort" if changed == "block" else "triage")
    assert raised.value.path == str(path)
    assert f"block {raised.value.block!r}" in raised.value.message
    for line in lines:
        assert line in raised.value.message
    assert 'mode="record"' in str(raised.value.hint)


def test_a_call_made_more_often_than_recorded_is_a_miss(path: Path) -> None:
    recorded(path, lambda: triage("Hello"))
    with pytest.raises(CassetteMiss, match="recorded 1 time, and is asked once more") as raised:
        replayed(path, lambda: [triage("Hello"), triage("Hello")])
    assert raised.value.changed == ("count",)


def test_a_miss_is_not_tried_again(path: Path) -> None:
    recorded(path, lambda: triage("Hello"))
    with cassette(path) as tape, pytest.raises(CassetteMiss):
        triage.with_options(retries=3, retry_delay_s=60)("Bye")
    assert [recording.asked.name for recording in tape.unused] == ["triage"]


def test_equal_sessions_write_equal_files_whatever_the_order_of_concurrent_calls(tmp_path: Path) -> None:
    messages = [f"message {number % 7}" for number in range(40)]

    def slow_at_times(order: int) -> Callable[[LMRequest], Any]:
        async def answer(request: LMRequest) -> Ticket:
            await asyncio.sleep((hash((request.messages[-1]["content"], order)) % 5) / 1000)
            return Ticket("x", urgent=False)

        return answer

    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for order, file in enumerate(files):
        recorded(file, lambda: triage.map(messages, concurrency=8), slow_at_times(order))
    assert files[0].read_bytes() == files[1].read_bytes()
    assert replayed(files[0], lambda: triage.map(messages, concurrency=8)) == [Ticket("x", urgent=False)] * 40


def test_threads_share_a_cassette(path: Path) -> None:
    def session() -> list[str]:
        results: list[str] = []
        threads = [
            threading.Thread(target=lambda n=number: results.append(triage(f"m{n}").summary))
            for number in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(results)

    echo = {"triage": lambda message, most: Ticket(message, urgent=False)}
    before = recorded(path, session, echo)
    assert replayed(path, session) == before == sorted(f"m{n}" for n in range(16))


def test_a_session_that_fails_leaves_no_file_and_the_old_one_whole(path: Path) -> None:
    def failing() -> None:
        triage("Hello")
        raise KeyError("of the test")

    with pytest.raises(KeyError):
        recorded(path, failing)
    assert not path.exists()
    recorded(path, lambda: triage("Hello"))
    whole = path.read_bytes()
    with pytest.raises(KeyError):
        recorded(path, failing, mode="record")
    assert path.read_bytes() == whole
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_secrets_are_never_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf-of-the-settings")
    monkeypatch.setenv("CONDUIT_DB_URL", "postgresql://me:pass%40word@db/conduit")
    monkeypatch.setenv("SOME_API_KEY", "of-the-environment")
    known = "hf_" + "a1" * 17
    secrets = ["hf-of-the-settings", "pass@word", "of-the-environment", known, "customer 4711"]

    def session() -> Ticket:
        return triage(" and ".join(secrets))

    answer = {"triage": Ticket("I was told " + ", ".join(secrets), urgent=True)}
    scrub = [r"customer \d+"]
    recorded(path, session, answer, scrub=scrub)
    text = path.read_text()
    assert [secret for secret in secrets if secret in text] == []
    assert text.count("[scrubbed]") == 2 * len(secrets)
    assert replayed(path, session, scrub=scrub).summary == "I was told " + ", ".join(["[scrubbed]"] * 5)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    recorded(path, lambda: triage("Hello"))
    document = json.loads(path.read_text()) | {"version": 2}
    path.write_text(json.dumps(document))
    with pytest.raises(CassetteError, match="version 2; this Conduit reads versions up to 1"), cassette(path):
        pass


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": "conduit cassette"',
        '{"format": "other"}',
        '{"format": "conduit cassette", "version": 1, "prompts": {}, "calls": [{"prompt": "triage"}]}',
        '{"format": "conduit cassette", "version": 1, "prompts": {}, "calls": 3}',
        "\udcff",
    ],
)
def test_what_is_no_cassette_is_refused(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(CassetteError, match="no cassette, or a damaged one") as raised, cassette(path):
        pass
    assert raised.value.path == str(path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CassetteError, match="cannot be written"):
        recorded(tmp_path / "file" / "tape.json", lambda: triage("Hello"))


def test_a_mode_or_pattern_that_is_none_is_refused(path: Path) -> None:
    with pytest.raises(ArgumentInvalid, match="mode must be"), cassette(path, mode="rewind"):  # type: ignore[arg-type]
        pass
    with pytest.raises(ArgumentInvalid, match="regular expressions"), cassette(path, scrub=["("]):
        pass


def test_an_override_within_is_not_recorded(path: Path) -> None:
    with override(lm=FakeLM()), cassette(path):
        triage("recorded")
        with override(lm=FakeLM()):
            triage("not recorded")
    assert [call["messages"][0]["content"] for call in json.loads(path.read_text())["calls"]] == [
        '{"message":"recorded","most":3}'
    ]
