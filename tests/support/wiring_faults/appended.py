"""What a loop gathers is not what the next stage takes."""

from desk import Reply, answer
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(first: str, second: str) -> list[Reply]:
    tickets = []
    for url in (first, second):
        tickets.append(http_get(url).text)
    return answer.map(tickets)  # FAULT check.edge_type
