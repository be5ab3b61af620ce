"""``conduit status --watch`` as a process: a line a look, and a quiet end."""

from __future__ import annotations

import json
import signal

import pytest

from support.command_line import CommandLine


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_each_look_is_a_line_of_json_until_a_signal_ends_it(tmp_path, how) -> None:
    with CommandLine(tmp_path, CONDUIT_PROJECT="shop").start("status", "--watch", "--json") as watching:
        look = json.loads(watching.stdout.readline())
        assert (look["project"], look["deployments"], look["usd_per_hour"]) == ("shop", [], 0)
        watching.send_signal(how)
        rest, said = watching.communicate(timeout=30)
    assert watching.returncode == 0, said
    assert said == ""
    assert all(json.loads(line) for line in rest.splitlines())


def test_a_reader_that_leaves_ends_it_quietly(tmp_path) -> None:
    with CommandLine(tmp_path).start("status", "--watch", "--json") as watching:
        assert json.loads(watching.stdout.readline())
        watching.stdout.close()
        watching.stdout = None
        _, said = watching.communicate(timeout=30)
    assert said == ""
