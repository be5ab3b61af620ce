"""Whether a Prefect server is in reach, answered within seconds.

Prefect itself starts a server within the process when none is configured, which takes long and may fail only after
its own time limit. What Conduit starts for a user asks here first.
"""

from __future__ import annotations

from conduit.errors import FlowServerUnreachable

_HINT = (
    "Start one with `prefect server start` and set PREFECT_API_URL to its address, for example "
    "http://127.0.0.1:4200/api; or let `conduit demo` start its own."
)


def require_server(timeout_s: float = 5.0) -> str:
    """The address of the Prefect API, when it answers.

    Raises:
        FlowServerUnreachable: None is configured, or it does not answer in time.
    """
    import httpx

    from conduit.dataflow import prefect_bridge

    url = prefect_bridge.api_url()
    if url is None:
        raise FlowServerUnreachable("No Prefect server is configured.", hint=_HINT)
    try:
        response = httpx.get(f"{url.rstrip('/')}/health", timeout=timeout_s)
        response.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(url, error) from error
    return url


def unreachable(url: str | None, error: Exception, block: str | None = None) -> FlowServerUnreachable:
    """The error for a server that does not answer."""
    where = f" while block {block!r} ran" if block else ""
    return FlowServerUnreachable(
        f"The Prefect server at {url} does not answer{where}: {type(error).__name__}: {error}",
        hint=_HINT,
        api_url=url,
        block=block,
    )
