"""Deployments, declarations and the run log keep what they are told: on Postgres as on SQLite."""

from __future__ import annotations

import pytest

from unit.store.test_ledgers import *  # noqa: F403 - its tests and its fixtures

pytestmark = pytest.mark.xdist_group("postgres")
