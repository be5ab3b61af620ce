"""The body of `POST /v1/chat/completions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from gpu_server.api.asked import Asked, Limit
from gpu_server.api.reading import INTEGRAL, EmptyList, OnlyFalse, Strict, not_together
from gpu_server.engines.base import Message, Tool, ToolCall
from gpu_server.schemas.bounds import ANY_OBJECT

MAX_MESSAGES = 2048
MAX_TOOLS = 128
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
CallId = Annotated[str, Field(min_length=1, max_length=256)]


class TextPart(Strict):
    """One part of a message; only text is served."""

    type: Literal["text"]
    text: str


Content = str | Annotated[list[TextPart], Field(min_length=1, max_length=256)]


def _text(content: Content | None) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content or ())


class SystemMessage(Strict):
    """What holds for the whole conversation."""

    role: Literal["system", "developer"]
    content: Content
    name: None = None

    def plain(self) -> Message:
        """Return it as the engine takes it."""
        return Message("system", _text(self.content))


class UserMessage(Strict):
    """A turn of the caller."""

    role: Literal["user"]
    content: Content
    name: None = None

    def plain(self) -> Message:
        """Return it as the engine takes it."""
        return Message("user", _text(self.content))


class CalledFunction(Strict):
    """Which function an earlier answer called, and with what."""

    name: FunctionName
    arguments: str


class CallMade(Strict):
    """A call of an earlier answer."""

    id: CallId
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(Strict):
    """An earlier answer, as clients send it back whole; it has a text, or calls."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["content"], "properties": {"content": {"type": ["string", "array"]}}},
                {"required": ["tool_calls"], "properties": {"tool_calls": {"type": "array"}}},
            ]
        }
    )

    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: Annotated[list[CallMade], Field(min_length=1, max_length=MAX_TOOLS)] | None = None
    reasoning_content: str | None = None
    """Reasoning models are not shown their former thinking."""
    name: None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: EmptyList | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.tool_calls is None:
            raise ValueError("an assistant's message has content or tool_calls")
        return self

    def plain(self) -> Message:
        """Return it as the engine takes it."""
        calls = [
            ToolCall(index, call.id, call.function.name, call.function.arguments)
            for index, call in enumerate(self.tool_calls or ())
        ]
        return Message("assistant", _text(self.content), tool_calls=calls)


class ToolMessage(Strict):
    """What a called function returned."""

    role: Literal["tool"]
    content: Content
    tool_call_id: CallId
    name: FunctionName | None = None
    """Some clients repeat the function's name; the call's id says it already."""

    def plain(self) -> Message:
        """Return it as the engine takes it."""
        return Message("tool", _text(self.content), tool_call_id=self.tool_call_id)


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class JsonSchema(Strict):
    """The schema of a structured answer."""

    name: Annotated[str, Field(max_length=256)] = "answer"
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class TextFormat(Strict):
    """Free text."""

    type: Literal["text"]


class JsonObjectFormat(Strict):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(Strict):
    """JSON that obeys a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class OfferedFunction(Strict):
    """A function that the model may call."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class OfferedTool(Strict):
    """A tool; only functions are served."""

    type: Literal["function"]
    function: OfferedFunction

    def plain(self) -> Tool:
        """Return it as the engine takes it."""
        function = self.function
        parameters = (
            {"type": "object", "properties": {}} if function.parameters is None else function.parameters
        )
        return Tool(function.name, function.description, parameters, strict=bool(function.strict))


class ChosenFunction(Strict):
    """A function by its name."""

    name: FunctionName


class ChosenTool(Strict):
    """The one function that must be called."""

    type: Literal["function"]
    function: ChosenFunction


class ChatRequest(Asked):
    """`POST /v1/chat/completions`."""

    only_harmless: ClassVar[frozenset[str]] = Asked.only_harmless | {
        "functions",
        "function_call",
        "modalities",
        "reasoning_effort",
        "store",
        "verbosity",
    }

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    response_format: (
        Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")] | None
    ) = None
    tools: Annotated[list[OfferedTool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), INTEGRAL] | None = None

    functions: EmptyList | None = None
    function_call: Literal["none"] | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    reasoning_effort: None = None
    store: OnlyFalse | None = None
    verbosity: Literal["medium"] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [tool.function.name for tool in self.tools or ()]
        if len(set(names)) < len(names):
            raise not_together("tools", "a function's name is given twice")
        if isinstance(self.tool_choice, ChosenTool) and self.tool_choice.function.name not in names:
            wanted = self.tool_choice.function.name
            raise not_together("tool_choice", f"there is no function {wanted!r} in tools")
        if self.tool_choice == "required" and not names:
            raise not_together("tool_choice", "a call is required, but tools has no function")
        if self.top_logprobs and not self.logprobs:
            raise not_together("top_logprobs", "it is only allowed when logprobs is true")
        return self

    @property
    def schema_wanted(self) -> Mapping[str, Any] | None:
        """The schema that the answer must obey, if any."""
        if isinstance(self.response_format, JsonSchemaFormat):
            return self.response_format.json_schema.schema_
        return ANY_OBJECT if isinstance(self.response_format, JsonObjectFormat) else None

    @property
    def max_tokens_wanted(self) -> int | None:
        """The limit under its new name or its old one."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def logprobs_wanted(self) -> int | None:
        """How many alternatives to report, as a `Job` says it."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def tools_offered(self) -> Sequence[Tool]:
        """The functions as the engine takes them."""
        return [tool.plain() for tool in self.tools or ()]

    @property
    def tool_chosen(self) -> str:
        """How the model may choose, as a `Job` says it."""
        if isinstance(self.tool_choice, ChosenTool):
            return self.tool_choice.function.name
        return self.tool_choice or "auto"

    @property
    def calls_kept(self) -> int | None:
        """How many calls the answer may hold; None for any number."""
        return 1 if self.parallel_tool_calls is False else None
