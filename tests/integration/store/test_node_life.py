"""A node's row goes through its life by legal moves only: on Postgres as on SQLite."""

from __future__ import annotations

import pytest

from unit.store.test_node_life import *  # noqa: F403 - its tests and its fixtures

pytestmark = pytest.mark.xdist_group("postgres")
