"""Batches behind the one address: each stays with its replica, and is found there."""

from __future__ import annotations

from support.front_callers import chunks, client, scene
from support.raw_replicas import RawReplica, front_of, whole


def test_a_batch_stays_with_its_replica():
    def script_of(name):
        async def script(request):
            if request.method == "POST":
                yield whole(
                    {"home": name, "rows": request.body.count(b"\n"), "id": request.headers["x-batch-id"]}
                )
            else:
                yield whole({"home": name, "path": request.path, "method": request.method})

        return script

    async def play():
        async with (
            RawReplica(script_of("a")) as a,
            RawReplica(script_of("b")) as b,
            front_of(a, b) as front,
            client(front) as http,
        ):
            homes = {}
            for number in range(8):
                sent = await http.post(
                    "/v1/batch", content=chunks(b"{}\n", 5), headers={"x-batch-id": f"batch-{number}"}
                )
                assert (sent.json()["rows"], sent.json()["id"]) == (5, f"batch-{number}")
                homes[f"batch-{number}"] = sent.json()["home"]
            assert set(homes.values()) == {"a", "b"}
            for name, home in homes.items():
                later = (await http.get(f"/v1/batch/{name}?after=2")).json()
                assert later == {"home": home, "path": f"/v1/batch/{name}?after=2", "method": "GET"}
                assert (await http.delete(f"/v1/batch/{name}")).json()["home"] == home
            made = (await http.post("/v1/batch", content=b"{}\n")).json()["id"]
            assert made.startswith("batch_")

    scene(play)


def test_a_batch_that_the_front_does_not_know_is_found():
    def script_of(knows):
        async def script(request):
            yield whole({"knows": knows}, "200 OK" if knows else "404 Not Found")

        return script

    async def play():
        for order in ((True, False), (False, True)):
            async with (
                RawReplica(script_of(order[0])) as a,
                RawReplica(script_of(order[1])) as b,
                front_of(a, b) as front,
                client(front) as http,
            ):
                for name in ("x", "y", "z"):
                    assert (await http.get(f"/v1/batch/{name}/status")).status_code == 200
                before = len(a.requests) + len(b.requests)
                for name in ("x", "y", "z"):  # now it knows where they are
                    assert (await http.get(f"/v1/batch/{name}")).status_code == 200
                assert len(a.requests) + len(b.requests) == before + 3

    scene(play)
