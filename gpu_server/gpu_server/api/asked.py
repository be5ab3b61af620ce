"""The fields that chat and text requests share: sampling, streaming, choices, who asks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from gpu_server.api.reading import INTEGRAL, EmptyObject, OnlyFalse, RequestBody, Strict, not_together

MAX_CHOICES = 16
ModelId = Annotated[str, Field(min_length=1, max_length=256)]
Limit = Annotated[int, Field(gt=0), INTEGRAL]
Caller = Annotated[str, Field(max_length=512)]
Tier = Literal["auto", "default", "flex", "priority", "scale"]
_Stop = Annotated[str, Field(min_length=1, max_length=256)]


class StreamOptions(Strict):
    """What a stream carries beside the text."""

    include_usage: bool = False
    include_obfuscation: OnlyFalse | None = None


class Asked(RequestBody):
    """What every request for text may ask."""

    only_harmless: ClassVar[frozenset[str]] = frozenset({"logit_bias"})

    model: ModelId
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(gt=0, lt=2**31), INTEGRAL] | None = None
    min_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63), INTEGRAL] | None = None
    stop: _Stop | Annotated[list[_Stop], Field(max_length=4)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), INTEGRAL] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    service_tier: Tier | None = None
    user: Caller | None = None
    ignore_eos: bool | None = None
    logit_bias: EmptyObject | None = None

    @model_validator(mode="after")
    def _options_need_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise not_together("stream_options", "it is only allowed when stream is true")
        return self

    @property
    def choices(self) -> int:
        """How many answers are wanted."""
        return self.n or 1

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def include_usage(self) -> bool:
        """Whether the stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def tier_served(self) -> str | None:
        """The tier that answers it, for the answer; None when none was named."""
        if self.service_tier is None:
            return None
        return "flex" if self.service_tier == "flex" else "default"

    @property
    def sampling(self) -> dict[str, Any]:
        """The fields of a `Job` that are taken over as they are."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "stop": self.stops,
            "ignore_eos": bool(self.ignore_eos),
            "seed": self.seed,
        }
