import asyncio
import json
import subprocess
import sys
import time

import pytest

from conduit import settings, store
from conduit.errors import DeploymentFailed, DeploymentStopped, ModelNotFound, StoreUnavailable
from conduit.lmlite import LMLiteResource, ModelConfig, collect, deployments, down

CHAT = {"messages": [{"role": "user", "content": "hi there"}], "max_tokens": 2}

OTHER_PROCESS = """
import json, sys
from conduit.lmlite import LMLiteResource, ModelConfig
config = ModelConfig({model!r}, max_model_len=4096, max_model_concurrency=4)
lm = LMLiteResource(config, idle_timeout=120, **json.loads({options!r}))
{body}
print(json.dumps(sorted(endpoint.url for endpoint in lm.endpoints)))
"""


def start_other(weights, body="", **options):
    code = OTHER_PROCESS.format(model=str(weights), options=json.dumps(options), body=body)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def result_of(process):
    output, _ = process.communicate(timeout=50)
    assert process.returncode == 0
    return json.loads(output)


def urls(lm):
    return sorted(endpoint.url for endpoint in lm.endpoints)


def nodes_folder():
    folder = settings.load().data_dir / "nodes"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_second_process_reuses_the_running_deployment(deploy, weights, processes):
    lm = deploy(replicas=2)
    lm.up()
    before = processes()
    assert result_of(start_other(weights, replicas=2)) == urls(lm)
    assert processes() == before
    assert len(before) == 2


def test_two_processes_that_start_at_once_share_one_deployment(weights, deploy, processes):
    both = [start_other(weights) for _ in range(2)]
    first, second = [result_of(process) for process in both]
    assert first == second
    assert len(processes()) == 1


def test_what_an_ended_process_left_running_is_found_and_collected(weights, deploy, processes, lives):
    result_of(start_other(weights))
    [process] = processes()
    [view] = deployments(settings.load())
    assert view.wanted_by == ()
    [planned] = collect(settings.load(), dry_run=True)
    assert lives(process)
    [removed] = collect(settings.load())
    assert (planned.id, planned.done, removed.id, removed.done) == (view.key, False, view.key, True)
    assert not lives(process)
    assert nodes_folder() == []


def test_what_a_living_process_uses_is_not_collected(weights, deploy, processes):
    body = "lm.up(); print('up', flush=True); sys.stdin.readline()"
    other = start_other(weights, body)
    assert other.stdout.readline() == "up\n"
    assert collect(settings.load()) == []
    assert len(processes()) == 1
    other.stdin.write("\n")
    assert len(result_of(other)) == 1
    assert [removed.done for removed in collect(settings.load())] == [True]


def test_gc_removes_what_an_earlier_configuration_left(deploy, processes, lives):
    old = deploy(name="triage")
    old.up()
    [old_process] = processes()
    new = deploy(name="triage", concurrency=8)
    new.up()
    other = deploy(concurrency=2)
    other.up()
    [removed] = LMLiteResource.gc()
    assert removed.name == "triage"
    assert not lives(old_process)
    assert len(processes()) == 2
    assert isinstance(new(**CHAT), str)
    assert isinstance(other(**CHAT), str)
    with pytest.raises(DeploymentStopped):
        old(**CHAT)


def test_delete_leaves_no_process_folder_or_row(deploy, processes, lives):
    lm = deploy(replicas=2)
    lm(**CHAT)
    both = processes()
    lm.delete()
    assert [lives(process) for process in both] == [False, False]
    assert nodes_folder() == []
    records = store.open_store(settings.load())
    assert (records.deployments(), records.nodes(), records.declarations()) == ([], [], [])
    assert not lm.ready
    with pytest.raises(DeploymentStopped, match=r"deleted") as caught:
        lm(**CHAT)
    assert "lm.up()" in caught.value.hint


def test_stop_ends_the_replicas_and_up_starts_new_ones(deploy, processes, lives):
    lm = deploy()
    lm.up()
    [first] = processes()
    lm.stop()
    assert not lives(first)
    with pytest.raises(DeploymentStopped, match="stopped"):
        lm(**CHAT)
    lm.up()
    assert isinstance(lm(**CHAT), str)
    [second] = processes()
    lm.restart()
    assert not lives(second)
    assert isinstance(lm(**CHAT), str)


def test_the_async_life_cycle_is_the_same(deploy, processes, lives):
    async def live():
        async with deploy() as lm:
            health = await lm.ahealth()
            assert health.ready
            [first] = processes()
            await lm.astop()
            assert not lives(first)
            await lm.arestart()
            [second] = processes()
            assert isinstance(await lm.acall(**CHAT), str)
            await lm.adelete()
            assert not lives(second)
            with pytest.raises(DeploymentStopped, match="deleted"):
                await lm.acall(**CHAT)

    asyncio.run(live())
    assert nodes_folder() == []


def test_down_ends_what_others_use_and_a_mere_call_does_not_start_it_again(deploy, processes, lives):
    lm = deploy()
    lm(**CHAT)
    [process] = processes()
    assert [removed.done for removed in down(settings.load())] == [True]
    assert not lives(process)
    with pytest.raises(DeploymentStopped, match="another process"):
        lm(**CHAT)
    assert processes() == []


def test_with_takes_the_deployment_down_unless_another_object_wants_it(deploy, processes, lives):
    keeper = deploy()
    with deploy() as lm:
        lm(**CHAT)
    [process] = processes()
    assert isinstance(keeper(**CHAT), str)
    with pytest.raises(DeploymentStopped, match="released"):
        lm(**CHAT)
    with keeper:
        pass
    assert not lives(process)


def test_a_background_start_becomes_ready(deploy, until):
    lm = deploy(replicas=2)
    started = time.monotonic()
    lm.up(wait=False)
    assert not lm.ready
    assert time.monotonic() - started < 5
    until(lambda: lm.ready)
    health = lm.health()
    assert [replica.state for replica in health.replicas] == ["ready", "ready"]
    assert all(set(replica.models.values()) == {"ready"} for replica in health.replicas)


def test_waiting_for_a_background_start_that_failed_ends_with_its_error(until):
    lm = LMLiteResource("/no/such/folder")
    lm.up(wait=False)
    with pytest.raises(ModelNotFound, match="/no/such/folder"):
        until(lambda: lm.ready)


def test_a_replica_that_idles_out_ends_by_itself_and_the_next_call_brings_it_up(
    deploy, processes, until, lives
):
    lm = deploy(idle_timeout=3.0)
    lm(**CHAT)
    [first] = processes()
    until(lambda: not lives(first))
    assert not lm.ready
    assert isinstance(lm(**CHAT), str)
    [second] = processes()
    assert second != first
    lm.delete()


def test_a_replica_ends_at_its_lifetime_even_when_it_is_asked_for_its_health(deploy, processes, until, lives):
    lm = deploy(max_lifetime=2.0)
    lm.up()
    [process] = processes()
    until(lambda: lm.health() and not lives(process))


def test_a_model_that_cannot_load_fails_with_the_reason_and_leaves_no_process(weights, tmp_path, processes):
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((weights / name).read_bytes())
    (folder / "model.safetensors").write_bytes(b"not weights")
    lm = LMLiteResource(ModelConfig(str(folder)), idle_timeout=120)
    with pytest.raises(DeploymentFailed, match="broken") as caught:
        lm(**CHAT)
    assert "log" in caught.value.hint
    assert processes() == []
    assert deployments(settings.load())[0].state == "failed"
    lm.delete()


def test_an_unusable_data_folder_is_told_with_its_path(deploy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path / "file" / "data"))
    lm = deploy()
    with pytest.raises(StoreUnavailable, match="file") as caught:
        lm(**CHAT)
    assert caught.value.hint
