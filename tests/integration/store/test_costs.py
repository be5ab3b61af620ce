"""What was spent stays known: on Postgres as on SQLite."""

from __future__ import annotations

import pytest

from unit.store.test_costs import *  # noqa: F403 - its tests and its fixtures

pytestmark = pytest.mark.xdist_group("postgres")
