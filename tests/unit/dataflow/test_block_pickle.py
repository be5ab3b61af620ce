"""Blocks travel to other processes."""

from __future__ import annotations

import pickle

import cloudpickle
import pytest

from conduit.dataflow import block
from conduit.dataflow.mapping import Batch, Job


def test_a_blocks_copy_is_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    from support import picklable_blocks as module

    for dumps in (pickle.dumps, cloudpickle.dumps):
        assert pickle.loads(dumps(module.double)) == module.double
        careful = module.double.with_options(retries=2, name="careful")
        copy = pickle.loads(dumps(careful))
        assert copy == careful
        assert copy(2) == 4
        assert pickle.loads(dumps(module.Desk.take))(module.Desk(), 1) == 1
        assert pickle.loads(dumps(module.Desk().take))(1) == 1


def test_a_local_block_travels_as_a_whole() -> None:
    factor = 3

    @block(tags=["a"])
    def times(number: int) -> int:
        return number * factor

    copy = pickle.loads(cloudpickle.dumps(times))
    assert copy(2) == 6
    assert copy.options == times.options


def test_a_batch_travels_with_its_own_items_only() -> None:
    job = Job(list(range(100)), {"plus": 1}, batch=10, concurrency=4, errors="collect")
    places = list(range(30, 40))
    copy = pickle.loads(pickle.dumps(Batch(job, places, places)))
    assert copy.items == places
    assert (copy.indexes, copy.label, copy.job.same) == (places, "[30:40]", {"plus": 1})
    assert (copy.job.id, copy.job.collects) == (job.id, True)
    assert copy.job.items == ()
