"""An intent is committed only while its money is there: on Postgres as on SQLite."""

from __future__ import annotations

import pytest

from unit.store.test_budgets import *  # noqa: F403 - its tests and its fixtures

pytestmark = pytest.mark.xdist_group("postgres")
