"""The block of a method gets another record."""

from desk import Reply, triage
from prefect import flow

from conduit import block
from conduit.blocks import http_get


class Desk:
    def __init__(self, address: str) -> None:
        self.address = address

    @block
    def post(self, reply: Reply) -> None:
        print(self.address, reply.subject)


@flow
def inbox(url: str) -> None:
    desk = Desk("desk@example.org")
    desk.post(triage(http_get(url).text))  # FAULT check.edge_type
