"""Handles of submitted calls, which blocks take in place of values."""

from prefect import flow, task

from conduit import block


@block
def fetch(url: str) -> str:
    return url


@block
def joined(parts: list[str]) -> str:
    return " ".join(parts)


@block
def pair(left: str, right: str) -> tuple[str, int]:
    return left + right, 2


@task
def tell(text: str) -> str:
    return text


@flow
def straight(url: str) -> tuple[str, int]:
    first, second = fetch.submit(url), fetch.submit(url + "/2")
    return pair(first, second)


@flow
def several(url: str) -> str:
    pending = [fetch.submit(part) for part in (url, url + "/2", url + "/3")]
    return joined(pending)


@flow
def waited(url: str) -> str:
    pending = {part: fetch.submit(part) for part in [url, "b"]}
    texts = [each.result() for each in pending.values()]
    text, times = pair(texts[0], tell(texts[1]))
    return joined([text] * times)


@flow
def of_prefect(url: str) -> str:
    future = tell.submit(url)
    return fetch(future.result())
