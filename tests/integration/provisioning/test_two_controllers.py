"""Processes that share one database and one account, at work at the same time."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from conduit import compute, provisioning
from conduit.compute.runpod import RunPodProvider
from conduit.provisioning import Site
from conduit.store.store import Store
from support import postgres
from support.leak_cells import settings_for, simulator

WORK = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
import pydantic
from conduit import compute, provisioning
from conduit.compute.runpod import RunPodProvider
from conduit.provisioning import Site, Terms
from conduit.settings import Settings
from conduit.store.store import Store
from support.leak_cells import CANDIDATES

given = json.loads(sys.argv[2])
settings = Settings(**given["settings"])
store = Store(settings.database_url)
owner = compute.load_owner(settings)
site = Site(settings, store, RunPodProvider.from_settings(settings, owner), owner)

async def up(key, replicas):
    async with provisioning.exclusive(site, key):
        store.put_deployment(key, project="p", owner=owner.id, provider="runpod", spec={})
        store.declare(key)
        found = await provisioning.living(site, key, replicas)
        for number in set(range(replicas)) - set(found):
            terms = Terms(max_lifetime_s=3600)
            found[number] = await provisioning.start(site, key, number, CANDIDATES, terms=terms)
    return sorted(view.node_id for view in found.values())

async def main():
    keys = ["shared", given["name"]]
    nodes = {}
    for _ in range(3):
        for key in keys:
            nodes[key] = await up(key, 2)
        await provisioning.reconcile_site(site)
    return nodes

print(json.dumps(asyncio.run(main())), flush=True)
sys.stdin.readline()  # alive, and wanting what it has, until it is told to go
store.close()
"""


@pytest.fixture
def world():
    with simulator() as world:
        yield world


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))])
def db_url(request):
    if request.param == "sqlite":
        yield None
        return
    programs = postgres.programs()
    if programs is None:
        pytest.skip("no Postgres found: apt-get install postgresql")
    with postgres.running(programs) as cluster:
        yield cluster.new_database()


@pytest.fixture
def site(world, tmp_path, db_url):
    secret = None if db_url is None else SecretStr(db_url)
    # Longer deadlines than where a lost answer is waited for: this machine may be busy.
    settings = settings_for(world, tmp_path).model_copy(update={"db_url": secret, "runpod_timeout_s": 20.0})
    owner, store = compute.load_owner(settings), Store(settings.database_url)
    yield Site(settings, store, RunPodProvider.from_settings(settings, owner), owner)
    store.close()


def start(site, name):
    own = {name: value for name, value in site.settings if name.startswith("runpod_")}
    own |= {"runpod_api_key": site.settings.runpod_api_key.get_secret_value(), "project": "p"}
    db_url = site.settings.db_url and site.settings.db_url.get_secret_value()
    own |= {"data_dir": str(site.settings.data_dir), "db_url": db_url}
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            WORK,
            str(Path(__file__).parents[2]),
            json.dumps({"settings": own, "name": name}),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_controllers_share_what_both_want_and_let_each_other_be(world, site):
    programs = [start(site, name) for name in ("first", "second")]
    try:
        nodes = [json.loads(program.stdout.readline()) for program in programs]
        state = world.state()
        assert nodes[0]["shared"] == nodes[1]["shared"]
        assert len({*nodes[0]["shared"], *nodes[0]["first"], *nodes[1]["second"]}) == 6
        assert len(state["living"]) == 6
        assert set(state["creates"].values()) == {1}
        assert state["ever_doubled"] == []
        assert state["deletes"] == {}
    finally:
        for program in programs:
            program.communicate("\n", timeout=30)
    # Both are gone, and nothing of theirs was ready: nobody waits for it.
    assert asyncio.run(provisioning.reconcile_site(site)).errors == []
    state = world.state()
    assert (state["living"], len(state["foreign"])) == ([], 1)
