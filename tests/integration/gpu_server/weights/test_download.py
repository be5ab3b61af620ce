"""Downloads from a hub that cuts connections, limits, lies and refuses; several replicas on one cache."""

import asyncio
import errno
import os
import shutil
from types import SimpleNamespace

import pytest

from gpu_server.engines.base import LoadError
from gpu_server.settings import ModelSettings
from gpu_server.weights import cache as cache_module
from gpu_server.weights import fetch as fetch_module
from gpu_server.weights.base import Progress
from gpu_server.weights.cache import Cache
from gpu_server.weights.download import Downloads
from support import hub as hub_support
from support.hub import COMMIT, Fault

REPO = "org/model"
WEIGHTS = os.urandom(3_000_000)
UNREAD = 300_000
"""Bytes that a broken connection may take with it, unread."""
FILES = {
    "config.json": b'{"architectures": ["X"]}',
    "tokenizer.json": b"{}",
    "README.md": b"# readme",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickled" * 1000,
    "original/consolidated.safetensors": WEIGHTS,
    "onnx/config.json": b"{}",
}


@pytest.fixture
def hub(monkeypatch):
    with hub_support.running() as running:
        running.add(REPO, dict(FILES))
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("HF_HOME", "/nonexistent/home-of-the-hub")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def fetch(cache, progress=None, *, stale_s=45.0, **model):
    settings = ModelSettings(**{"model_id": REPO, "startup_timeout_s": 20, **model})
    downloads = Downloads(cache, first_pause_s=0.01, stale_s=stale_s)
    return asyncio.run(downloads.fetch(settings, progress or Progress()))


def part_of(cache):
    [part] = (cache.folder / "models--org--model" / "blobs").glob("*.part")
    return part


def test_the_needed_files_arrive_whole_and_nothing_else_is_fetched(hub, cache):
    progress = Progress()
    folder = fetch(cache, progress)
    assert folder.name == COMMIT
    assert sorted(file.name for file in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert progress.done_bytes == progress.total_bytes > len(WEIGHTS)
    assert {asked.path for asked in hub.asked} == {
        "list",
        "config.json",
        "tokenizer.json",
        "model.safetensors",
    }


def test_what_is_there_is_not_fetched_again(hub, cache):
    fetch(cache)
    before = len(hub.asked)
    fetch(cache)
    assert [asked.path for asked in hub.asked[before:]] == ["list"]
    fetch(cache, revision=COMMIT)
    assert len(hub.asked) == before + 1, "a commit cannot change: the hub is not asked at all"


def test_a_download_that_is_cut_off_goes_on_from_where_it_was(hub, cache):
    hub.fails("model.safetensors", Fault("cut", at=1_000_000), Fault("cut", at=1_000_000))
    folder = fetch(cache)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    begins = [asked.begins for asked in hub.requests("model.safetensors")]
    assert begins[0] == 0
    assert 1_000_000 - UNREAD <= begins[1] <= 1_000_000
    assert begins[1] + 1_000_000 - UNREAD <= begins[2] <= 2_000_000
    assert hub.sent["model.safetensors"] <= len(WEIGHTS) + 2 * UNREAD


def test_the_next_start_goes_on_from_where_the_last_one_ended(hub, cache):
    hub.fails("model.safetensors", Fault("cut", at=1_200_000), *[Fault("status", status=503)] * 40)
    with pytest.raises(LoadError, match="is kept for the next start"):
        fetch(cache, startup_timeout_s=0.5)
    hub.faults.clear()
    hub.asked.clear()
    there = part_of(cache).stat().st_size
    assert there >= 1_200_000 - UNREAD
    fetch(cache)
    assert hub.requests("model.safetensors")[0].begins == there


def test_a_hub_that_knows_no_ranges_still_completes_a_part(hub, cache):
    hub.ranges = False
    hub.fails("model.safetensors", Fault("cut", at=1_000_000))
    assert (fetch(cache) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_connection_that_falls_silent_is_given_up_and_the_file_goes_on(hub, cache, monkeypatch):
    monkeypatch.setattr("gpu_server.weights.download.Hub", lambda session: Hub(session, stall_s=1.0))
    from gpu_server.weights.hub import Hub

    hub.fails("model.safetensors", Fault("stall", at=70_000))
    assert (fetch(cache) / "model.safetensors").read_bytes() == WEIGHTS
    assert [asked.begins for asked in hub.requests("model.safetensors")][:2] == [0, 70_000]


def test_429_is_waited_for_as_long_as_the_hub_says(hub, cache):
    hub.fails("list", Fault("status", status=429, headers={"retry-after": "1"}))
    hub.fails("model.safetensors", Fault("status", status=429, headers={"retry-after": "1"}))
    began = asyncio.run(_clock())
    fetch(cache)
    assert asyncio.run(_clock()) - began >= 2


async def _clock():
    return asyncio.get_running_loop().time()


def test_429_for_longer_than_the_deadline_is_told_at_once(hub, cache):
    hub.fails("list", Fault("status", status=429, headers={"retry-after": "3600"}))
    with pytest.raises(LoadError, match=r"limits requests from this address \(429\)") as refused:
        fetch(cache)
    assert "startup_timeout_s=20" in str(refused.value)
    assert len(hub.asked) == 1


def test_wrong_bytes_are_never_taken_and_a_second_try_may_be_right(hub, cache):
    hub.fails("model.safetensors", Fault("wrong"))
    assert (fetch(cache) / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("wrong"), "has another hash than 127.0.0.1 states"),
        (Fault("html"), "a web page in place of model.safetensors"),
        (Fault("longer"), "is longer than its 3000000 bytes"),
    ],
)
def test_what_stays_wrong_is_refused_and_leaves_no_model(hub, cache, fault, said):
    hub.fails("model.safetensors", *[fault] * 5)
    with pytest.raises(LoadError, match=said):
        fetch(cache)
    assert len(hub.requests("model.safetensors")) == fetch_module.MOST_BROKEN
    assert not list(cache.folder.glob("*/snapshots/*/*"))


def test_a_small_file_with_a_wrong_hash_is_refused_too(hub, cache):
    hub.fails("config.json", *[Fault("wrong")] * 5)
    with pytest.raises(LoadError, match=r"config\.json has another hash"):
        fetch(cache)


def test_zero_byte_weights_are_refused_before_any_download(hub, cache):
    hub.models[REPO]["model.safetensors"] = b""
    with pytest.raises(LoadError, match=r"model\.safetensors has zero bytes on the hub"):
        fetch(cache)
    assert {asked.path for asked in hub.asked} == {"list"}


@pytest.mark.parametrize("token", [None, "hf_another"])
def test_a_gated_model_names_its_page_and_the_variable_of_the_token(hub, cache, monkeypatch, token):
    hub.gated.add(REPO)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(LoadError, match="is gated") as refused:
        fetch(cache)
    assert f"{hub.url}/{REPO}" in str(refused.value)
    assert "HF_TOKEN" in str(refused.value)
    assert not token or token not in str(refused.value)


def test_the_token_opens_a_gated_model(hub, cache, monkeypatch):
    hub.gated.add(REPO)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert fetch(cache).name == COMMIT


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"model_id": "org/nothing"}, "org/nothing .* is not on 127.0.0.1"),
        ({"revision": "v9"}, "has no revision 'v9'"),
        ({"model_id": "../../etc"}, "is no model id"),
    ],
)
def test_what_is_not_there_is_told_once(hub, cache, model, said):
    with pytest.raises(LoadError, match=said):
        fetch(cache, **model)
    assert len(hub.asked) <= 1


def test_a_hub_that_is_not_reached_is_told_with_its_address(cache, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(LoadError, match=r"no connection to 127\.0\.0\.1:9"):
        fetch(cache, startup_timeout_s=0.2)


def test_without_the_hub_a_kept_model_serves(hub, cache, monkeypatch):
    folder = fetch(cache)
    hub.fails("list", *[Fault("status", status=503)] * 9)
    assert fetch(cache) == folder
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.asked.clear()
    assert fetch(cache) == folder
    assert hub.asked == []


def test_offline_without_the_model_says_so(hub, cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LoadError, match="HF_HUB_OFFLINE"):
        fetch(cache)


def test_too_little_room_is_told_with_the_numbers_before_the_download(hub, cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    with pytest.raises(LoadError, match=r"needs 3\.000 MB more in .*, which has 0\.100 MB free"):
        fetch(cache)
    assert hub.requests("model.safetensors") == []


def test_a_disk_that_fills_up_meanwhile_keeps_what_is_there(hub, cache, monkeypatch):
    write = os.pwrite

    def full(descriptor, data, at):
        if at >= 1_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data, at)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(LoadError, match="is full"):
            fetch(cache)
    there = part_of(cache).stat().st_size
    assert there >= 1_000_000
    hub.asked.clear()
    fetch(cache)
    assert hub.requests("model.safetensors")[0].begins == there


def test_a_cache_that_cannot_be_written_is_named(hub, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LoadError, match="set model_cache"):
        fetch(Cache(tmp_path / "file" / "cache"))


def test_several_replicas_fetch_each_file_once(hub, cache):
    async def replicas():
        settings = ModelSettings(model_id=REPO, startup_timeout_s=20)
        progresses = [Progress() for _ in range(5)]
        folders = await asyncio.gather(*(Downloads(cache).fetch(settings, each) for each in progresses))
        return folders, progresses

    folders, progresses = asyncio.run(replicas())
    assert len(set(folders)) == 1
    assert len(hub.requests("model.safetensors")) == 1
    assert {each.done_bytes for each in progresses} == {progresses[0].total_bytes}


def test_the_claim_of_a_dead_replica_is_taken_over_with_its_part(hub, cache):
    hub.fails("model.safetensors", Fault("cut", at=900_000), *[Fault("status", status=503)] * 40)
    with pytest.raises(LoadError):
        fetch(cache, startup_timeout_s=0.5)
    hub.faults.clear()
    hub.asked.clear()
    part = part_of(cache)
    there = part.stat().st_size
    assert there > 0
    part.with_name(f"{part.stem}.claim").write_text("a replica that was killed")
    fetch(cache, stale_s=0.3)
    assert hub.requests("model.safetensors")[0].begins == there
    assert list(part.parent.glob("*.claim*")) == []


def test_the_parts_that_an_index_names_are_fetched_and_their_doubles_are_not(hub, cache):
    index = b'{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    hub.add(
        REPO,
        {
            "config.json": b"{}1",
            "tokenizer.json": b"{}",
            "model.safetensors.index.json": index,
            "model-1.safetensors": b"one" * 50,
            "model-2.safetensors": b"two" * 50,
            "consolidated.safetensors": b"both" * 50,
        },
    )
    folder = fetch(cache)
    assert sorted(file.name for file in folder.glob("*.safetensors")) == [
        "model-1.safetensors",
        "model-2.safetensors",
    ]
    assert cache_module.is_whole(folder)


def test_no_key_of_the_hub_is_in_any_error(hub, cache, monkeypatch, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_secret_token")
    hub.fails("list", Fault("status", status=401))
    with pytest.raises(LoadError, match="refuses the token in HF_TOKEN") as refused:
        fetch(cache)
    assert "hf_secret_token" not in f"{refused.value!r} {caplog.text}"
