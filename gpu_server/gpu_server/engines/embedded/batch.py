"""The requests inside the engine: one dispatcher hands them over in waves, drain threads read their answers.

Only the dispatcher touches the runner (it cannot be shared: a second caller raises). Requests are always submitted
as streams, because only a stream can be cancelled. The sequences of one wave that are equally long advance in the
same steps, so one thread reads them all, one after the other, a token each: it is woken once a step, not once a
token. Such a group is a convoy; a sequence that falls behind leaves it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from gpu_server.engines.embedded.answer import Answer
from gpu_server.engines.embedded.model import RAW_ROLE, first_line
from gpu_server.engines.embedded.orders import Order
from gpu_server.engines.embedded.outbox import Outbox
from gpu_server.engines.embedded.step_meter import StepMeter

if TYPE_CHECKING:
    from mistralrs import ChatCompletionRequest, Runner

WAVE_S = 0.025
WAVE_QUIET_S = 0.004
LAG_S = 0.002
_GRAMMAR_MARKS = ("Invalid grammar", "JSON schema", "Parser Error", "<state>")


class Generation:
    """One request in the engine."""

    __slots__ = ("answer", "cancelled", "key", "order", "prompt", "stream")

    def __init__(self, key: int, order: Order, prompt: str | None) -> None:
        self.key = key
        self.order = order
        self.prompt = prompt
        self.answer = Answer(key, order)
        self.stream: Any = None
        self.cancelled = False


class Batch:
    """Runs the requests of one loaded model.

    Args:
        runner: The engine.
        places: Requests at a time.
        outbox: Takes what the server is to hear.
        meter: Takes every token.
    """

    def __init__(self, runner: Runner, places: int, outbox: Outbox, meter: StepMeter) -> None:
        self.prompt_tokens = 0
        self._runner = runner
        self._outbox = outbox
        self._meter = meter
        self._inbox: queue.SimpleQueue[Generation | Callable[[Runner], None]] = queue.SimpleQueue()
        self._running: dict[int, Generation] = {}
        self._drains = ThreadPoolExecutor(places, thread_name_prefix="drain")
        threading.Thread(target=self._dispatch, name="dispatch", daemon=True).start()

    def submit(self, key: int, order: Order, prompt: str | None) -> None:
        """Take a request; the outbox tells how it goes.

        Args:
            key: Its name between server and engine.
            order: What is asked for.
            prompt: Text that the engine gets as it is, in place of the messages.
        """
        generation = self._running[key] = Generation(key, order, prompt)
        self._inbox.put(generation)

    def run(self, work: Callable[[Runner], None]) -> None:
        """Have the dispatcher call `work` with the engine, between two waves."""
        self._inbox.put(work)

    def cancel(self, key: int) -> None:
        """Take a request out of the batch at its next token."""
        if (generation := self._running.get(key)) is not None:
            generation.cancelled = True

    def _dispatch(self) -> None:
        while True:
            convoys: dict[int, list[Generation]] = {}
            for item in self._gather():
                if not isinstance(item, Generation):
                    item(self._runner)
                elif self._hand_over(item):
                    # Those whose length is not known are alone: minus their keys.
                    convoys.setdefault(item.order.prompt_tokens or -item.key - 1, []).append(item)
            self._outbox.flush()
            for convoy in convoys.values():
                self._drains.submit(self._drain, convoy)

    def _gather(self) -> Iterable[Generation | Callable[[Runner], None]]:
        """Return what goes to the engine next.

        The engine advances sequences together only while they have the same length, so those that enter in one
        step stay together to the end, and those that enter one by one may never meet. An engine that is idle, or
        has one sequence, gets its request at once: there is hardly anyone to wait for, and the wait would be a
        large part of the time to the first token. A busier one gets those that arrive within a few milliseconds of
        each other as one wave.
        """
        wave = [self._inbox.get()]
        busy = len(self._running) > 2  # with the one that has just come
        latest = time.monotonic() + WAVE_S
        while True:
            pause_s = min(WAVE_QUIET_S, latest - time.monotonic()) if busy else 0.0
            try:
                wave.append(self._inbox.get(timeout=pause_s) if pause_s > 0 else self._inbox.get_nowait())
            except queue.Empty:
                return wave

    def _hand_over(self, generation: Generation) -> bool:
        if generation.cancelled:
            self._settle(generation, ["failed", generation.key, "engine", "cancelled"])
            return False
        try:
            generation.stream = self._runner.send_chat_completion_request(_request(generation))
        except BaseException as error:
            self._settle(generation, _failure(error, generation))
            return False
        return True

    def _drain(self, convoy: Sequence[Generation]) -> None:
        round_s, rounds = 0.0, 0
        while convoy:
            began = asked = time.monotonic()
            staying: list[Generation] = []
            for place, generation in enumerate(convoy):
                goes_on = self._advance(generation)
                now = time.monotonic()
                if not goes_on:
                    pass
                elif staying and now - asked > max(LAG_S, round_s / 2):
                    if rounds < 2:  # from here on they entered the engine a step later
                        self._drains.submit(self._drain, [generation, *convoy[place + 1 :]])
                        break
                    self._drains.submit(self._drain, [generation])
                else:
                    staying.append(generation)
                asked = now
            round_s, rounds = time.monotonic() - began, rounds + 1
            convoy = staying
            self._outbox.flush()
            self._outbox.keep_counting()

    def _advance(self, generation: Generation) -> bool:
        """Read one token; return whether there may be more."""
        message: list[Any] | None
        answer = generation.answer
        try:
            chunk = None if generation.cancelled else next(generation.stream, None)
            if generation.cancelled:
                message = ["failed", generation.key, "engine", "cancelled"]
            elif chunk is None:
                message = ["failed", generation.key, "engine", "the engine ended the answer without a reason"]
            else:
                message = answer.take(chunk)
                self._meter.token(generation.key, generation.order.prompt_tokens + answer.tokens)
                if not answer.ended:
                    if message is not None:
                        self._outbox.post(message)
                    return True
                self.prompt_tokens += answer.usage[0]
        except BaseException as error:
            message = _failure(error, generation)
        generation.stream = None  # the only reference: dropping it is what takes the request out of the batch
        self._meter.end(generation.key)
        self._settle(generation, message or [])
        return False

    def _settle(self, generation: Generation, message: Sequence[Any]) -> None:
        self._running.pop(generation.key, None)
        self._outbox.post(message)


def _request(generation: Generation) -> ChatCompletionRequest:
    import mistralrs

    order = generation.order
    messages: Any = order.messages
    if generation.prompt is not None:
        messages = [{"role": RAW_ROLE, "content": generation.prompt}]
    sampling: dict[str, Any] = dict(order.sampling)
    return mistralrs.ChatCompletionRequest(
        messages=messages,
        model="default",
        stream=True,
        max_tokens=order.max_tokens,
        stop_seqs=list(order.stop) or None,
        ignore_eos=order.ignore_eos,
        grammar=order.grammar,
        grammar_type=None if order.grammar is None else "json_schema",
        enable_thinking=order.grammar is None,
        logprobs=order.logprobs is not None,
        top_logprobs=order.logprobs or None,
        **sampling,
    )


def _failure(error: BaseException, generation: Generation) -> list[Any]:
    text = str(error)
    if generation.order.grammar is not None and any(mark in text for mark in _GRAMMAR_MARKS):
        return ["failed", generation.key, "schema", first_line(error).removeprefix("Invalid grammar. ")]
    return ["failed", generation.key, "engine", f"{type(error).__name__}: {first_line(error)}"]
