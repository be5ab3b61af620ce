"""A lease has one holder: on Postgres as on SQLite."""

from __future__ import annotations

import pytest

from unit.store.test_leases import *  # noqa: F403 - its tests and its fixtures

pytestmark = pytest.mark.xdist_group("postgres")
