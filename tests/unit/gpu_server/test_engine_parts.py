"""The small parts beside an engine: stop strings, schemas, step counting, processors, mailbox, prompts."""

import asyncio
import json
import threading
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import random_weights
from gpu_server.engines.base import LoadError, Message, PromptRefused, SchemaRefused
from gpu_server.engines.cpu import kernel_threads, usable_processors
from gpu_server.engines.mailbox import Mailbox
from gpu_server.engines.prompt import PromptCounter
from gpu_server.engines.schema import MAX_DEPTH, MAX_VALUES, grammar_text
from gpu_server.engines.step_meter import StepMeter
from gpu_server.engines.stop_text import StopText


@given(st.text("abx", max_size=40), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.data())
def test_text_is_cut_at_the_first_stop_however_it_is_split(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stopper = StopText(stops)
    shown = "".join(stopper.feed(piece) for piece in pieces) + stopper.rest()
    found = [at for at in map(text.find, stops) if at >= 0]
    # A longer stop that begins earlier may complete later, so a split text may show less of it, never more.
    assert text.startswith(shown)
    assert len(shown) <= min(found, default=len(text))
    assert stopper.hit == bool(found)
    if not found:
        assert shown == text


def test_what_may_become_a_stop_is_held_back() -> None:
    stopper = StopText(["</end>"])
    assert stopper.feed("a</e") == "a"
    assert stopper.feed("x") == "</ex"
    assert stopper.feed("b</end>c") == "b"
    assert stopper.feed("more") == ""


def test_schemas_leave_no_room_for_idle_white_space() -> None:
    text = json.loads(grammar_text({"type": "object"}))
    assert text == {"type": "object", "x-guidance": {"whitespace_flexible": False}}
    kept = json.loads(grammar_text({"x-guidance": {"whitespace_flexible": True, "lenient": True}}))
    assert kept["x-guidance"] == {"whitespace_flexible": True, "lenient": True}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"enum": list(range(MAX_VALUES))}, "values"),
        (reduce(lambda inner, _: {"items": inner}, range(MAX_DEPTH), {}), "deeper"),
        (reduce(lambda inner, _: {"items": inner}, range(900), {}), "deeper"),
        ({"x-guidance": 5}, "x-guidance"),
    ],
)
def test_schemas_that_could_hold_up_the_batch_are_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(SchemaRefused, match=why):
        grammar_text(schema)


def test_a_lockstep_batch_is_one_step_a_token() -> None:
    meter = StepMeter(clock=lambda: 0.0)
    for length in range(11, 21):
        for sequence in range(5):
            meter.token(sequence, length)
    assert (meter.steps, meter.largest_batch, meter.tokens) == (10, 5, 50)


def test_threads_that_run_a_step_ahead_do_not_add_steps() -> None:
    meter = StepMeter(clock=lambda: 0.0)
    meter.token(1, 11)
    for length in range(12, 21):
        meter.token(1, length)  # always one ahead of the other
        meter.token(2, length - 1)
    meter.token(2, 20)
    assert (meter.steps, meter.largest_batch) == (10, 2)


def test_one_after_the_other_shares_no_step() -> None:
    meter = StepMeter(clock=lambda: 0.0)
    for sequence in range(3):
        for length in range(11, 15):
            meter.token(sequence, length)
        meter.end(sequence)
    assert (meter.steps, meter.largest_batch) == (12, 1)


def test_sequences_of_different_length_share_no_step() -> None:
    meter = StepMeter(clock=lambda: 0.0)
    for at in range(4):
        meter.token(1, 11 + at)
        meter.token(2, 51 + at)
    assert (meter.steps, meter.largest_batch) == (8, 1)


def test_the_last_step_of_a_sequence_does_not_wait_for_others() -> None:
    now = 0.0
    meter = StepMeter(clock=lambda: now)
    meter.token(9, 90)  # keeps the meter busy
    meter.token(1, 11)
    meter.end(1)
    now = 0.05
    meter.token(2, 11)
    assert (meter.steps, meter.largest_batch) == (3, 1)


def test_a_straggler_far_behind_shares_no_step() -> None:
    meter = StepMeter(clock=lambda: 0.0)
    for length in range(11, 20):
        meter.token(1, length)
    for length in range(11, 15):
        meter.token(2, length)
    assert meter.largest_batch == 1


def test_processors_are_those_of_the_container(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    assert usable_processors(quota) >= 1
    quota.write_text("100000 100000\n")
    assert usable_processors(quota) == 1
    quota.write_text("10000 100000\n")
    assert usable_processors(quota) == 1
    quota.write_text("max 100000\n")
    assert usable_processors(quota) >= 1


def test_small_models_get_one_kernel_thread(tmp_path: Path) -> None:
    assert kernel_threads([random_weights.make(tmp_path)]) == 1
    assert kernel_threads([tmp_path, None]) == usable_processors()


def test_the_mailbox_keeps_the_order_of_each_thread() -> None:
    async def run() -> dict[int, list[int]]:
        got: dict[int, list[int]] = {0: [], 1: []}
        done = asyncio.Event()
        mailbox = Mailbox(asyncio.get_running_loop())

        def take(pair: tuple[int, int]) -> None:
            got[pair[0]].append(pair[1])
            if sum(map(len, got.values())) == 200:
                done.set()

        def post(sender: int) -> None:
            for number in range(100):
                mailbox.post(take, (sender, number))

        threads = [threading.Thread(target=post, args=(sender,)) for sender in got]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(done.wait(), 10)
        for thread in threads:
            thread.join()
        return got

    assert asyncio.run(run()) == {0: list(range(100)), 1: list(range(100))}


def test_a_mailbox_of_a_closed_loop_drops_what_comes() -> None:
    async def run() -> Mailbox:
        return Mailbox(asyncio.get_running_loop())

    asyncio.run(run()).post(print, "never")


def test_prompts_are_counted_with_their_template(tmp_path: Path) -> None:
    counter = PromptCounter(random_weights.make(tmp_path))
    empty = counter.count([Message("user", "")], enable_thinking=True)
    assert counter.count([Message("user", "b" * 50)], enable_thinking=True) > empty > 0


def test_a_template_can_refuse(tmp_path: Path) -> None:
    folder = random_weights.make(tmp_path)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(PromptRefused, match="roles must alternate"):
        PromptCounter(folder).count([Message("user", "x")], enable_thinking=True)


def test_a_template_cannot_leave_its_sandbox(tmp_path: Path) -> None:
    folder = random_weights.make(tmp_path)
    (folder / "chat_template.jinja").write_text("{{ messages.__class__.__base__.__subclasses__() }}")
    with pytest.raises(PromptRefused):
        PromptCounter(folder).count([Message("user", "x")], enable_thinking=True)


def test_a_model_without_a_template_is_not_served(tmp_path: Path) -> None:
    folder = random_weights.make(tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(LoadError, match="no chat template"):
        PromptCounter(folder)


def test_equal_seeds_make_equal_models(tmp_path: Path) -> None:
    first, second = (random_weights.make(tmp_path / name, vocab=512, hidden=64) for name in "ab")
    third = random_weights.make(tmp_path / "c", vocab=512, hidden=64, seed=1)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (first, second, third)]
    assert weights[0] == weights[1] != weights[2]
    assert (first / "tokenizer.json").read_bytes() == (second / "tokenizer.json").read_bytes()
