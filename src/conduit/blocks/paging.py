"""The block that fetches a list which a server gives a page at a time.

Where the next page is says the server: in a ``Link`` header, in a field of its JSON, or by a cursor; or pages are
numbered and end with an empty one. The address of a page must be at the first page's origin, for the request's
headers go with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from conduit.blocks.http import (
    MAX_BYTES,
    RETRIES,
    TIMEOUT_S,
    HttpResponse,
    QueryParams,
    response_of,
)
from conduit.blocks.http_exchange import Exchange, shown
from conduit.dataflow import block
from conduit.errors import HttpError

MAX_PAGES = 100


@block
def http_pages(
    url: str,
    *,
    params: QueryParams | None = None,
    headers: Mapping[str, str] | None = None,
    next_field: str | None = None,
    cursor_field: str | None = None,
    cursor_param: str = "cursor",
    page_param: str | None = None,
    first_page: int = 1,
    items_field: str = "",
    max_pages: int = MAX_PAGES,
    timeout_s: float = TIMEOUT_S,
    max_bytes: int = MAX_BYTES,
    retries: int = RETRIES,
) -> Iterator[HttpResponse]:
    """Fetches a URL and the pages that follow it, one after another as they are asked for.

    Without ``next_field``, ``cursor_field`` and ``page_param`` the next page is the one that the ``Link`` header
    calls ``next``. Fields are named by their path in the page's JSON, as in ``meta.next``.

    Args:
        url: The first page.
        params: Query parameters of the first page, and of the others where those are known by cursor or number.
        headers: Request headers of all pages.
        next_field: The field with the next page's address; the last page lacks it or has null.
        cursor_field: The field with the next page's cursor, which is sent as ``cursor_param``; likewise.
        cursor_param: The query parameter for the cursor.
        page_param: The query parameter for a page's number; the page whose list is empty is the last.
        first_page: The number of the first page.
        items_field: With ``page_param``, the field with the list; the page itself when it is not given.
        max_pages: Most pages; when there are more, that is an error after the last of them.
        timeout_s: Limit of one attempt at one page.
        max_bytes: Largest page accepted.
        retries: Further attempts at a page, as in ``http_get``.

    Raises:
        HttpError: A page cannot be had, as in ``http_get``; the next one is at another origin, is one that was
            there already, or is one too many.
    """
    given = [name for name, value in _ways(next_field, cursor_field, page_param) if value is not None]
    if len(given) > 1 or max_pages < 1:
        raise HttpError(
            f"{shown(url)}: {' and '.join(given) or f'max_pages={max_pages}'}",
            hint="Give one way to the next page, and max_pages from 1.",
            url=shown(url),
        )
    first = dict(params or {})
    address, query = url, {**first, **({page_param: first_page} if page_param else {})}
    been: set[tuple[str, str]] = set()
    for number in range(max_pages):
        been.add((address, repr(query)))
        exchange = Exchange("GET", address, timeout_s, max_bytes, raise_for_status=True)
        page = response_of(exchange.run(retries, params=query or None, headers=headers))
        yield page
        if page_param is not None:
            if not _field(page, items_field):
                return
            query = {**first, page_param: first_page + number + 1}
        elif cursor_field is not None:
            if (cursor := _field(page, cursor_field)) in (None, "", False):
                return
            query = {**first, cursor_param: cursor}
        else:
            found = _linked(page) if next_field is None else _field(page, next_field)
            if not found:
                return
            address, query = _next(url, page.url, found), {}
        if (address, repr(query)) in been:
            raise HttpError(
                f"The pages of {shown(url)} go in a circle: {shown(address)} comes again", url=shown(url)
            )
    raise HttpError(
        f"{shown(url)} has more than {max_pages} pages",
        hint="Give a larger max_pages, or leave the loop earlier.",
        url=shown(url),
    )


def _ways(
    next_field: str | None, cursor_field: str | None, page_param: str | None
) -> list[tuple[str, str | None]]:
    return [("next_field", next_field), ("cursor_field", cursor_field), ("page_param", page_param)]


def _linked(page: HttpResponse) -> str | None:
    links = httpx.Response(200, headers={"link": page.headers.get("link", "")}).links
    return links.get("next", {}).get("url")


def _field(page: HttpResponse, path: str) -> Any:
    value = page.json()
    for name in path.split(".") if path else ():
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _next(first: str, current: str, found: Any) -> str:
    """The next page's address, which may be relative to the current one's."""
    start = httpx.URL(first)
    try:
        address = httpx.URL(current).join(str(found))
    except httpx.InvalidURL as error:
        raise HttpError(
            f"{shown(first)} names {str(found)[:200]!r} as its next page", url=shown(first)
        ) from error
    if _origin(address) != _origin(start):
        raise HttpError(
            f"The next page of {shown(first)} is at another origin: {shown(str(address))}",
            hint="Credentials of one server are not sent to another: fetch that page with a call of its own.",
            url=shown(first),
        )
    return str(address.copy_with(userinfo=start.userinfo))


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)
