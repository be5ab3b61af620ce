"""How hosts are named, and what is refused before anything is connected to."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from conduit.compute.ssh import agent, hosts, lines
from conduit.errors import ConduitError, MissingDependency, NoCapacity, NodeFailed, ProviderBusy
from conduit.settings import SshHost, load


@pytest.mark.parametrize(
    ("host", "parts"),
    [
        ("gpu1", {"host": "gpu1"}),
        ("me@gpu1.example", {"host": "gpu1.example", "username": "me"}),
        ("me@10.0.0.7:2222", {"host": "10.0.0.7", "username": "me", "port": 2222}),
        ("[fe80::1]", {"host": "fe80::1"}),
        ("me@[fe80::1]:22", {"host": "fe80::1", "username": "me", "port": 22}),
    ],
)
def test_what_a_host_does_not_say_is_left_to_sshs_own_configuration(host: str, parts: dict[str, object]):
    assert lines.address(SshHost(host=host).host) == parts


@pytest.mark.parametrize(
    "host",
    [
        "",
        "me:secret@gpu1",
        "-oProxyCommand=x",
        "me@-x",
        "gpu1;reboot",
        "a b",
        "gpu1:0",
        "gpu1:65536",
        "gpu1\n",
    ],
)
def test_a_host_with_a_password_or_a_trick_in_it_is_refused(host: str):
    with pytest.raises(ValidationError):
        SshHost(host=host)


def test_hosts_come_from_the_environment_as_names_or_objects(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONDUIT_SSH_HOSTS", '["gpu1", {"host": "me@gpu2:22", "gpus": 2, "server": ["x"]}]')
    first, second = load().ssh_hosts
    assert first == SshHost(host="gpu1")
    assert (second.gpus, second.server) == (2, ("x",))


@pytest.mark.parametrize("value", ['["me:hunter2@gpu1"]', '[{"host": "g", "password": "hunter2"}]'])
def test_a_refused_host_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("CONDUIT_SSH_HOSTS", value)
    with pytest.raises(ConduitError, match="CONDUIT_SSH_HOSTS") as caught:
        load()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        ("exists", NodeFailed),
        ("lives", NodeFailed),
        ("program", MissingDependency),
        ("full", NoCapacity),
        ("busy", ProviderBusy),
        ("system", NodeFailed),
        ("something new", NodeFailed),
    ],
)
def test_every_refusal_has_an_error_with_the_host_and_a_remedy(refused: str, kind: type[ConduitError]):
    error = hosts.meaning(SshHost(host="gpu1"), refused, "the reason", "n1")
    assert type(error) is kind
    assert "gpu1" in error.message
    assert "the reason" in error.message
    assert error.hint


def test_every_refusal_of_the_agent_is_one_that_is_understood():
    source = ast.parse(Path(agent.__file__).read_text())
    calls = [node for node in ast.walk(source) if isinstance(node, ast.Call)]
    kinds = {c.args[0].value for c in calls if getattr(c.func, "id", "") == "Refusal"}
    assert kinds == {"exists", "lives", "program", "full", "busy", "nvidia"}


def test_the_agent_stands_alone_on_an_older_python():
    tree = ast.parse(Path(agent.__file__).read_text(), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= set(sys.stdlib_module_names)


def test_without_asyncssh_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(MissingDependency, match="asyncssh") as caught:
        lines._asyncssh()
    assert caught.value.hint == "pip install 'conduit-dataflow[ssh]'"
