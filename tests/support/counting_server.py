"""The stand-in engine as a server to attach to, which counts how often it was asked about each row.

Run as a program, with the flags of ``stand_in_engine``. A row is named in the user message, as in ``row 17``; one
that holds the word "poison" is refused. GET /counts gives the counts so far by row.
"""

import asyncio
import re
from collections import Counter

import stand_in_engine
from aiohttp import web


class Counting(stand_in_engine.StandIn):
    def __init__(self, arguments):
        super().__init__(arguments)
        self.rows = Counter()

    def app(self):
        app = super().app()
        app.add_routes([web.get("/counts", self.counts)])
        return app

    async def counts(self, _request):
        return web.json_response(self.rows)

    async def chat(self, request):
        text = (await request.json())["messages"][-1]["content"]
        if row := re.search(r"row (\d+)", text):
            self.rows[row[1]] += 1
        if "poison" in text:
            await self.token()
            raise stand_in_engine.Refused("this row is poison")
        return await super().chat(request)


if __name__ == "__main__":
    stand_in_engine.CHECKS.add("/counts")
    stand_in_engine.StandIn = Counting
    asyncio.run(stand_in_engine.serve(stand_in_engine.read_arguments()))
