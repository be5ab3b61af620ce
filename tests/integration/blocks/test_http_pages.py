import json
from itertools import islice
from urllib.parse import parse_qs, urlsplit

import pytest

from conduit.blocks import http_pages
from conduit.errors import HttpError, HttpStatusError


def query(handler):
    return {name: values[-1] for name, values in parse_qs(urlsplit(handler.path).query).items()}


def items(pages, *path):
    return [item for page in pages for item in page.json()[path[0] if path else "items"]]


def test_the_link_header_is_followed_to_its_end(server):
    def listing(handler):
        page = int(query(handler).get("page", "1"))
        link = f'<{server.url("/list")}?page={page + 1}&q=x>; rel="next", </list?page=1>; rel="first"'
        more = {"link": link} if page < 3 else {}
        handler.answer(json.dumps({"items": [page]}).encode(), **more)

    server.paths["/list"] = listing
    pages = http_pages(server.url("/list"), params={"q": "x"}, headers={"authorization": "Bearer t"})
    assert items(pages) == [1, 2, 3]
    assert [r.headers["authorization"] for r in server.requests] == ["Bearer t"] * 3
    assert [query(r) for r in server.requests] == [
        {"q": "x"},
        {"page": "2", "q": "x"},
        {"page": "3", "q": "x"},
    ]


def test_a_field_of_the_json_names_the_next_page_also_relatively(server):
    server.paths["/a/list"] = lambda h: h.answer(b'{"items": [1], "meta": {"next": "more?x=1"}}')
    server.paths["/a/more"] = lambda h: h.answer(b'{"items": [2], "meta": {"next": null}}')
    assert items(http_pages(server.url("/a/list"), next_field="meta.next")) == [1, 2]
    user = server.url("/a/list").replace("://", "://ann:pw@")
    assert items(http_pages(user, next_field="meta.next")) == [1, 2]
    assert len({r.headers["authorization"] for r in server.requests[2:]}) == 1


def test_cursors_and_page_numbers_are_counted_up(server):
    def by_cursor(handler):
        asked = query(handler)
        after = int(asked.get("after", "0"))
        assert asked["q"] == "x"
        handler.answer(json.dumps({"items": [after], "cursor": after + 1 if after < 2 else None}).encode())

    def by_number(handler):
        page = int(query(handler)["p"])
        handler.answer(json.dumps({"data": [page] if page < 3 else []}).encode())

    server.paths["/cursor"], server.paths["/number"] = by_cursor, by_number
    pages = http_pages(server.url("/cursor"), params={"q": "x"}, cursor_field="cursor", cursor_param="after")
    assert items(pages) == [0, 1, 2]
    pages = http_pages(server.url("/number"), page_param="p", first_page=0, items_field="data")
    assert items(pages, "data") == [0, 1, 2]


def test_pages_are_fetched_as_they_are_asked_for(server):
    server.paths["/list"] = lambda h: h.answer(b"{}", link=f"</list?n={len(server.requests)}>; rel=next")
    assert len(list(islice(http_pages(server.url("/list")), 4))) == 4
    assert len(server.requests) == 4


def test_credentials_do_not_leave_the_origin(server):
    server.paths["/list"] = lambda h: h.answer(b"{}", link='<http://localhost:1/steal>; rel="next"')
    pages = http_pages(server.url("/list"), headers={"authorization": "Bearer t"})
    next(pages)
    with pytest.raises(HttpError, match="another origin"):
        next(pages)


def test_pages_in_a_circle_or_without_end_are_errors(server):
    server.paths["/circle"] = lambda h: h.answer(b"{}", link="</circle>; rel=next")
    server.paths["/endless"] = lambda h: h.answer(
        b"{}", link=f"</endless?n={len(server.requests)}>; rel=next"
    )
    with pytest.raises(HttpError, match="in a circle"):
        list(http_pages(server.url("/circle")))
    with pytest.raises(HttpError, match="more than 5 pages"):
        list(http_pages(server.url("/endless"), max_pages=5))
    assert len(server.requests) == 6


def test_a_page_that_fails_is_tried_again_and_then_an_error(server):
    answers = [503, 429, 200]
    server.paths["/busy"] = lambda h: h.answer(b"{}", status=answers.pop(0), retry_after=0)
    assert len(list(http_pages(server.url("/busy")))) == 1
    server.paths["/no"] = lambda h: h.answer(b"", status=403)
    with pytest.raises(HttpStatusError):
        list(http_pages(server.url("/no")))
    server.paths["/html"] = lambda h: h.answer(b"<html>")
    with pytest.raises(HttpError, match="not JSON"):
        list(http_pages(server.url("/html"), next_field="next"))
    with pytest.raises(HttpError, match="next_field and page_param"):
        list(http_pages(server.url("/no"), next_field="next", page_param="p"))
