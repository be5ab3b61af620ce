"""Takes the server's orders one by one: loads the model, counts prompts, passes requests to the batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from gpu_server.engines.base import LoadError, PromptRefused
from gpu_server.engines.embedded.batch import Batch
from gpu_server.engines.embedded.model import first_line, load_model
from gpu_server.engines.embedded.orders import LoadOrder, Order
from gpu_server.engines.embedded.outbox import Outbox
from gpu_server.engines.embedded.step_meter import StepMeter

if TYPE_CHECKING:
    from mistralrs import Runner

    from gpu_server.engines.embedded.prompt import Prompts

_INLINE_CHARS = 8_000
_EMBED_AT_ONCE = 8


class Host:
    """One model, from its loading on.

    Args:
        pipe: Where the answers go.
    """

    def __init__(self, pipe: BinaryIO) -> None:
        self._meter = StepMeter()
        self._told: tuple[int, ...] = (0, 0, 0, 0)
        self._embedded = self._embedded_tokens = 0
        self._outbox = Outbox(pipe, self._counts)
        self._counting = ThreadPoolExecutor(1, thread_name_prefix="count")
        self._embeds: set[int] = set()
        self._model: LoadOrder | None = None
        self._batch: Batch | None = None
        self._prompts: Prompts | None = None

    def take(self, message: Sequence[Any]) -> None:
        """Do what a message asks for, or have it done."""
        match message:
            case ["load", fields]:
                self._load(LoadOrder(**fields))
            case ["count", key, chats, texts]:
                size = sum(len(text) for text in texts)
                size += sum(len(each["content"]) for chat in chats for each in chat["messages"])
                count = partial(self._count, key, chats, texts)
                if size <= _INLINE_CHARS:
                    self._guarded(key, count)  # tens of microseconds: a thread would cost more
                else:
                    self._counting.submit(self._aside, key, count)
            case ["submit", key, fields]:
                self._guarded(key, partial(self._submit, key, Order(**fields)))
            case ["cancel", key]:
                self._loaded[0].cancel(key)
                self._embeds.discard(key)
            case ["embed", key, texts]:
                self._embeds.add(key)
                self._counting.submit(self._aside, key, partial(self._embed, key, texts))
            case ["ping", key]:
                self._loaded[0].run(partial(self._ping, key))
            case _:
                self._outbox.post(["unknown", str(message[0])])

    def flush(self) -> None:
        """Send what there is to say."""
        self._outbox.flush()

    @property
    def _loaded(self) -> tuple[Batch, Prompts]:
        assert self._batch is not None
        assert self._prompts is not None
        return self._batch, self._prompts

    def _aside(self, key: int, work: Callable[[], None]) -> None:
        self._guarded(key, work)
        self._outbox.flush()

    def _guarded(self, key: int, work: Callable[[], None]) -> None:
        """Do the work of one request; what goes wrong is that request's."""
        try:
            work()
        except PromptRefused as error:
            self._outbox.post(["failed", key, "prompt", str(error)])
        except Exception as error:
            self._outbox.post(["failed", key, "engine", f"{type(error).__name__}: {first_line(error)}"])

    def _counts(self) -> list[Any] | None:
        meter, batch = self._meter, self._batch
        counts = (
            meter.steps + self._embedded,
            meter.largest_batch,
            self._embedded_tokens + (0 if batch is None else batch.prompt_tokens),
            meter.tokens,
        )
        if counts == self._told:
            return None
        self._told = counts
        return ["counts", *counts]

    def _load(self, order: LoadOrder) -> None:
        try:
            runner, self._prompts = load_model(order)
            self._outbox.post(["warming"])
            self._outbox.flush()
            _first_words(runner, order)
        except LoadError as error:
            self._outbox.post(["not loaded", str(error)])
            return
        self._model = order
        self._batch = Batch(runner, order.max_model_concurrency, self._outbox, self._meter)
        facts = {"dtype": order.dtype, "kernel_threads": os.environ.get("RAYON_NUM_THREADS", "all")}
        self._outbox.post(["loaded", facts, {"tools": self._prompts.takes_tools}])

    def _count(self, key: int, chats: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> None:
        _, prompts = self._loaded
        rendered = [prompts.render(**chat) for chat in chats]
        self._outbox.post(["counted", key, prompts.count([*rendered, *texts])])

    def _submit(self, key: int, order: Order) -> None:
        batch, prompts = self._loaded
        prompt = order.prompt
        # The engine drops the calls of earlier turns, and lets tools change how it reads the answer: it gets text.
        if prompt is None and (order.tools or any(len(message) > 2 for message in order.messages)):
            prompt = prompts.render(order.messages, enable_thinking=order.grammar is None, tools=order.tools)
        batch.submit(key, order, prompt)

    def _embed(self, key: int, texts: Sequence[str]) -> None:
        assert self._model is not None
        batch, prompts = self._loaded
        lengths = prompts.count(texts)
        longest = max(lengths, default=0)
        if longest > self._model.max_model_len:
            self._outbox.post(
                [
                    "failed",
                    key,
                    "long",
                    f"text {lengths.index(longest)} has {longest} tokens; {self._model.max_model_len} is the most",
                ]
            )
            return
        batch.run(partial(self._embed_some, key, texts, sum(lengths), []))

    def _embed_some(
        self, key: int, texts: Sequence[str], tokens: int, vectors: list[list[float]], runner: Runner
    ) -> None:
        """Embed a few texts; the rest stand in line again behind what has come meanwhile."""
        import mistralrs

        if key not in self._embeds:
            self._outbox.post(["failed", key, "engine", "cancelled"])
            return
        some = list(texts[len(vectors) : len(vectors) + _EMBED_AT_ONCE])
        try:
            vectors += runner.send_embedding_request(mistralrs.EmbeddingRequest(input=some)) if some else []
        except BaseException as error:
            self._embeds.discard(key)
            self._outbox.post(["failed", key, "engine", f"{type(error).__name__}: {first_line(error)}"])
            return
        self._embedded += 1
        if len(vectors) < len(texts):
            self._loaded[0].run(partial(self._embed_some, key, texts, tokens, vectors))
            return
        self._embeds.discard(key)
        self._embedded_tokens += tokens
        self._outbox.post(["embedded", key, vectors, tokens])

    def _ping(self, key: int, runner: Runner) -> None:
        """The engine answers this between two steps: cheap, and it cannot be answered by anything else."""
        runner.tokenize_text("a", False, None)
        self._outbox.post(["pong", key])


def _first_words(runner: Runner, order: LoadOrder) -> None:
    """Have the model do its work once.

    Raises:
        LoadError: It cannot.
    """
    import mistralrs

    try:
        if order.task == "embed":
            runner.send_embedding_request(mistralrs.EmbeddingRequest(input=["a"]))
            return
        request = mistralrs.ChatCompletionRequest(
            messages=[{"role": "user", "content": "a"}], model="default", stream=True, max_tokens=1
        )
        answer: Any = runner.send_chat_completion_request(request)
        for _ in answer:
            pass
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise LoadError(f"the model does not generate: {first_line(error)}") from error
