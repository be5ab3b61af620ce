"""The owner's secret is made once, kept from others, and never shows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from conduit.compute import load_owner, new_node_id
from conduit.errors import ComputeError, StoreUnavailable
from conduit.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_the_key_is_made_once_even_when_many_start_at_once(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "data")
    with ThreadPoolExecutor(16) as pool:
        owners = set(pool.map(lambda _: load_owner(settings).id, range(64)))
    assert owners == {load_owner(settings).id}
    assert [p.name for p in settings.data_dir.iterdir()] == ["owner.key"], "no draft is left"


def test_key_and_folder_are_the_users_alone(tmp_path: Path):
    load_owner(Settings(data_dir=tmp_path / "data"))
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "owner.key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_could_read_is_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    settings = Settings(data_dir=tmp_path)
    before = load_owner(settings)
    (tmp_path / "owner.key").chmod(0o644)
    assert load_owner(settings) == before
    assert (tmp_path / "owner.key").stat().st_mode & 0o777 == 0o600
    assert "owner.key" in caplog.text


@pytest.mark.parametrize("content", ["", "abc", "not hex at all", "ab" * 31])
def test_a_damaged_key_is_refused(tmp_path: Path, content: str):
    (tmp_path / "owner.key").write_text(content)
    with pytest.raises(StoreUnavailable, match=r"owner\.key") as caught:
        load_owner(Settings(data_dir=tmp_path))
    assert caught.value.hint


def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"owner\.key") as caught:
        load_owner(Settings(data_dir=tmp_path / "file"))
    assert "CONDUIT_DATA_DIR" in str(caught.value.hint)


def test_tokens_differ_by_node_and_owner_and_can_be_made_again(tmp_path: Path):
    ours, theirs = (load_owner(Settings(data_dir=tmp_path / name)) for name in "ab")
    tokens = [o.token(n).get_secret_value() for o in (ours, theirs) for n in ("n1", "n2")]
    assert len(set(tokens)) == 4
    assert load_owner(Settings(data_dir=tmp_path / "a")).token("n1").get_secret_value() == tokens[0]


def test_neither_secret_nor_token_shows_in_a_repr(tmp_path: Path):
    owner = load_owner(Settings(data_dir=tmp_path))
    secret = (tmp_path / "owner.key").read_text()
    token = owner.token("n1")
    assert secret not in f"{owner!r} {owner}"
    assert token.get_secret_value() not in f"{token!r} {token}"
    assert str(bytes.fromhex(secret)) not in repr(owner)


@pytest.mark.parametrize("node_id", ["", "../up", "a/b", "UPPER", "-x", "x" * 64, "n1\n"])
def test_an_unsafe_node_id_is_refused(tmp_path: Path, node_id: str):
    with pytest.raises(ComputeError, match="no node id"):
        load_owner(Settings(data_dir=tmp_path)).token(node_id)


def test_new_node_ids_are_safe_and_differ(tmp_path: Path):
    owner = load_owner(Settings(data_dir=tmp_path))
    ids = {new_node_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(owner.token(node_id) for node_id in ids)
