"""Spans for OpenTelemetry, where the program that uses Conduit has set a tracer provider; otherwise nothing at all.

Conduit sets no provider and exports nothing. As long as the program has not loaded OpenTelemetry and set a provider
of its own, no span is made and OpenTelemetry is not imported. No span holds the text of a prompt, of an answer, or
of an error. Names follow the semantic conventions for generative models, ``gen_ai.*``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any, Self, TypeAlias

Attribute: TypeAlias = str | int | float | bool | None

_TRACER = "conduit"


class Span:
    """One stretch of work; as a context manager it is the current span inside, and ends with it.

    An exception that passes through is told by its type alone: messages may quote what a model wrote.
    """

    def set(self, **attributes: Attribute) -> None:
        """Adds attributes; those that are ``None`` are left out."""

    def inside(self) -> AbstractContextManager[None]:
        """Makes it the current span for a while without ending it."""
        return nullcontext()

    @contextmanager
    def lasting(self) -> Iterator[Self]:
        """Ends it at the end of the block without making it the current span: for generators, which pause."""
        try:
            yield self
        except BaseException as error:
            self.end(error)
            raise
        self.end()

    def end(self, error: BaseException | None = None) -> None:
        """Ends it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)


_NONE = Span()


class _Recorded(Span):
    def __init__(self, made: Any) -> None:
        self._span = made
        self._entered: AbstractContextManager[Any] | None = None

    def set(self, **attributes: Attribute) -> None:
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(name, value)

    def inside(self) -> AbstractContextManager[None]:
        entered: AbstractContextManager[None] = sys.modules["opentelemetry.trace"].use_span(
            self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )
        return entered

    def end(self, error: BaseException | None = None) -> None:
        if error is not None:
            trace = sys.modules["opentelemetry.trace"]
            code = getattr(error, "code", None)
            self._span.set_attribute("error.type", code if isinstance(code, str) else type(error).__name__)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()

    def __enter__(self) -> Self:
        self._entered = self.inside()
        self._entered.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._entered is not None:
            self._entered.__exit__(None, None, None)
        self.end(error)


def span(name: str, **attributes: Attribute) -> Span:
    """Starts a span, a child of the current one.

    Args:
        name: For people; low in variety.
        attributes: Those that are ``None`` are left out.
    """
    trace = _trace()
    if trace is None:
        return _NONE
    given = {key: value for key, value in attributes.items() if value is not None}
    return _Recorded(trace.get_tracer(_TRACER).start_span(name, attributes=given))


def trace_headers() -> dict[str, str]:
    """The HTTP headers that carry the current span to another process (W3C ``traceparent``); mostly none."""
    if _trace() is None:
        return {}
    from opentelemetry import propagate

    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def _trace() -> Any:
    """OpenTelemetry's module of traces, if the program has loaded it and set a provider."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    return trace
