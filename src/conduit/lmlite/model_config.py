"""What a user asks of one model: which engine runs it, how much it may hold, how its requests are batched.

Values only; whether such a model exists, and whether it fits, is found out elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from conduit.errors import ArgumentInvalid

EngineName = Literal["mistralrs", "sglang", "vllm", "openai"]
Task = Literal["generate", "embed"]

_PROGRAMS = ("sglang", "vllm")  # engines that are programs of their own
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class ModelConfig:
    """One model and the load it is to take.

    Attributes:
        model_id: ``conduit/tiny``, a folder in the Hugging Face layout, or an id on the hub; with ``url`` the
            model's name on that server.
        max_model_len: Most tokens of one request, prompt and answer together.
        max_model_concurrency: Most requests that one replica runs at a time.
        model_batch_execute_timeout_ms: How long an idle replica collects requests before it runs them as one
            batch; 0 starts each at once and lets later ones join.
        revision: Of the hub's repository.
        dtype: The weights' type in memory; ``None`` for the engine's choice.
        quantization: The engine's name of it; ``None`` for what the checkpoint has.
        engine: What runs it; ``None`` for what the provider's machines have, ``mistralrs`` on this one. ``openai``
            runs nothing: it attaches to the server at ``url``.
        task: ``embed`` for a model that answers with vectors.
        url: Base URL, ending in ``/v1``, of an OpenAI-compatible server that runs already.
        api_key_variable: Environment variable that holds that server's key, for the replica to read.
        engine_command: Starts the engine's program, for an engine in an environment of its own.
        engine_args: Further flags for it.
        max_queue: Requests that may wait on one replica beyond those that run.
        memory_fraction: Share of the GPU's memory, as the engine means it; ``None`` for the engine's default.
        tensor_parallel: GPUs that hold the model together.
    """

    model_id: str
    max_model_len: int = 1024
    max_model_concurrency: int = 1
    model_batch_execute_timeout_ms: int = 0
    revision: str | None = None
    dtype: str | None = None
    quantization: str | None = None
    engine: EngineName | None = None
    task: Task = "generate"
    url: str | None = None
    api_key_variable: str | None = None
    engine_command: Sequence[str] | None = None
    engine_args: Sequence[str] = ()
    max_queue: int = 256
    memory_fraction: float | None = None
    tensor_parallel: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.model_id, str) or not self.model_id.strip():
            raise ArgumentInvalid(
                f"model_id must be a text, not {self.model_id!r}.",
                hint='Give a model: ModelConfig("conduit/tiny").',
                argument="model_id",
            )
        whole("max_model_len", self.max_model_len, least=2)
        whole("max_model_concurrency", self.max_model_concurrency, least=1)
        whole("model_batch_execute_timeout_ms", self.model_batch_execute_timeout_ms, least=0)
        whole("max_queue", self.max_queue, least=0)
        whole("tensor_parallel", self.tensor_parallel, least=1)
        one_of("engine", self.engine, (None, *get_args(EngineName)))
        one_of("task", self.task, get_args(Task))
        if self.engine_command is not None:
            object.__setattr__(self, "engine_command", _words("engine_command", self.engine_command, least=1))
        object.__setattr__(self, "engine_args", _words("engine_args", self.engine_args, least=0))
        self._check_attached()
        self._check_program()

    @property
    def attached(self) -> bool:
        """Whether another server, which runs already, has the model."""
        return self.engine == "openai"

    @property
    def embedded(self) -> bool:
        """Whether Conduit's own engine runs it, in the replica's memory."""
        return self.engine in (None, "mistralrs")

    def _check_attached(self) -> None:
        if self.attached and self.url is None:
            raise ArgumentInvalid(
                f"{self.model_id}: the engine openai needs the url of a server.",
                hint='For example url="http://127.0.0.1:11434/v1" for Ollama on this machine.',
                argument="url",
            )
        for name in ("url", "api_key_variable"):
            if getattr(self, name) is not None and not self.attached:
                raise ArgumentInvalid(
                    f"{self.model_id}: {name} is for the engine openai, not for {self.engine or 'the default'}.",
                    hint=f'Give engine="openai", or leave {name} out.',
                    argument=name,
                )
        if self.url is not None and not re.match(r"https?://[^/\s]", self.url):
            raise ArgumentInvalid(
                f"{self.model_id}: url must begin with http:// or https:// and a host, not {self.url!r}.",
                hint="Give the base URL that the server's OpenAI clients are given; it ends in /v1.",
                argument="url",
            )
        if self.api_key_variable is not None and not _VARIABLE.fullmatch(self.api_key_variable):
            raise ArgumentInvalid(
                f"{self.model_id}: api_key_variable is no name of an environment variable.",
                hint="Give the variable's name, never the key: the key then stands in no file.",
                argument="api_key_variable",
            )

    def _check_program(self) -> None:
        needs = {
            "engine_command": self.engine_command is not None,
            "engine_args": bool(self.engine_args),
            "memory_fraction": self.memory_fraction is not None,
            "tensor_parallel": self.tensor_parallel > 1,
        }
        for name, given in needs.items():
            if given and self.engine not in (None, *_PROGRAMS):
                raise ArgumentInvalid(
                    f"{self.model_id}: {name} is for the engines sglang and vllm, not for {self.engine}.",
                    hint=f'Leave {name} out, or give engine="sglang".',
                    argument=name,
                )
        if self.memory_fraction is not None and not (
            isinstance(self.memory_fraction, int | float) and 0 < self.memory_fraction < 1
        ):
            raise ArgumentInvalid(
                f"{self.model_id}: memory_fraction must lie between 0 and 1, not {self.memory_fraction!r}.",
                argument="memory_fraction",
            )


def whole(name: str, value: Any, *, least: int) -> int:
    """The value, if it is a whole number of at least ``least``.

    Raises:
        ArgumentInvalid: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentInvalid(
            f"{name} must be a whole number of at least {least}, not {value!r}.", argument=name
        )
    return value


def positive(name: str, value: Any, unit: str) -> float:
    """The value, if it is a finite number above 0.

    Raises:
        ArgumentInvalid: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ArgumentInvalid(f"{name} must be a number of {unit} above 0, not {value!r}.", argument=name)
    return float(value)


def one_of(name: str, value: Any, known: Iterable[Any]) -> None:
    """Checks that the value is a known one.

    Raises:
        ArgumentInvalid: It is not.
    """
    if value not in (listed := tuple(known)):
        raise ArgumentInvalid(
            f"{name}={value!r} is not known.",
            hint=f"Known: {', '.join(map(repr, filter(None, listed)))}.",
            argument=name,
        )


def _words(name: str, value: Any, *, least: int) -> tuple[str, ...]:
    words = () if isinstance(value, str) else tuple(value)
    if isinstance(value, str) or len(words) < least or not all(isinstance(word, str) for word in words):
        raise ArgumentInvalid(
            f"{name} must be a list of words, not {value!r:.80}.",
            hint='One word for each part: ["/opt/vllm/bin/python", "-m", "vllm.entrypoints.cli.main", "serve"].',
            argument=name,
        )
    return words
