"""Providers are found by name: Conduit's own, and those of other distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conduit.compute import ComputeProvider, provider, provider_names
from conduit.errors import ArgumentInvalid, ProviderUnavailable
from conduit.lmlite.config import resource_config
from conduit.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
from conduit.testing import FakeProvider

class Cloud(FakeProvider):
    kind = "cloudy"

def factory(settings, owner):
    made = Cloud()
    made.made_for = (settings.data_dir, owner.id)
    return made

def other(settings, owner):
    return FakeProvider()

def fails(settings, owner):
    raise OSError("no wire")

def empty(settings, owner):
    return object()
"""


class PlugIns:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        (folder / "cloud_plug_in.py").write_text(GOOD)
        monkeypatch.syspath_prepend(folder)

    def add(self, name: str, value: str, *, distribution: str = "conduit-cloudy") -> None:
        info = self._folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[conduit.providers]\n{name} = {value}\n")


@pytest.fixture
def plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlugIns:
    folder = tmp_path / "site"
    folder.mkdir()
    return PlugIns(folder, monkeypatch)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.mark.parametrize("kind", list(ComputeProvider))
def test_each_of_conduits_own_is_made_from_the_settings_alone(kind: ComputeProvider, settings: Settings):
    assert provider(kind, settings).kind == kind
    assert provider(kind.value, settings).kind == kind


def test_a_plug_in_is_found_by_its_name_and_gets_settings_and_owner(plug_ins: PlugIns, settings: Settings):
    plug_ins.add("cloudy", "cloud_plug_in:factory")
    made = provider("cloudy", settings)
    assert made.kind == "cloudy"
    assert made.made_for[0] == settings.data_dir
    assert "cloudy" in provider_names()
    assert resource_config("m", "cloudy").provider == "cloudy"


def test_an_unknown_name_is_answered_with_what_there_is(plug_ins: PlugIns, settings: Settings):
    plug_ins.add("cloudy", "cloud_plug_in:factory")
    with pytest.raises(ProviderUnavailable, match="no provider 'clody'") as caught:
        provider("clody", settings)
    assert "local, runpod, docker, ssh, cloudy" in str(caught.value.hint)
    with pytest.raises(ArgumentInvalid, match="'clody'") as refused:
        resource_config("m", "clody")
    assert "cloudy" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("cloud_plug_in:fails", "OSError when it was loaded"),
        ("cloud_plug_in:missing", "AttributeError when it was loaded"),
        ("no_such_module:factory", "ModuleNotFoundError when it was loaded"),
        ("cloud_plug_in:empty", "it has no offerings, create"),
        ("cloud_plug_in:other", "it calls itself"),
    ],
)
def test_a_broken_plug_in_is_named_with_its_distribution(
    plug_ins: PlugIns, settings: Settings, value: str, problem: str
):
    plug_ins.add("cloudy", value)
    with pytest.raises(ProviderUnavailable, match=problem) as caught:
        provider("cloudy", settings)
    assert "conduit-cloudy 1.2" in caught.value.message
    assert value in caught.value.message


def test_a_plug_in_never_takes_the_place_of_conduits_own(plug_ins: PlugIns, settings: Settings):
    plug_ins.add("local", "cloud_plug_in:factory")
    assert type(provider("local", settings)).__module__ == "conduit.compute.local"
    assert provider_names().count("local") == 1


def test_two_distributions_of_one_name_are_not_guessed_between(plug_ins: PlugIns, settings: Settings):
    plug_ins.add("cloudy", "cloud_plug_in:factory")
    plug_ins.add("cloudy", "cloud_plug_in:factory", distribution="conduit-other")
    with pytest.raises(ProviderUnavailable, match="2 distributions") as caught:
        provider("cloudy", settings)
    assert "conduit-other 1.2" in caught.value.message
