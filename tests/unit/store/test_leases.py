"""A lease has one holder; it passes on when the holder lets go, is late or is dead."""

from __future__ import annotations

import os

from sqlalchemy import update

from conduit.store import Lease, Store, tables


def acquired(store: Store, name: str = "reconcile") -> Lease:
    lease = store.acquire_lease(name, ttl_s=600)
    assert lease is not None
    return lease


def change(store: Store, **values: object) -> None:
    with store._database.write() as connection:
        connection.execute(update(tables.lease).values(**values))


def test_a_held_lease_is_given_to_nobody_not_even_to_its_holder(store: Store):
    lease = acquired(store)
    assert lease.holder.endswith(f":{os.getpid()}")
    assert store.acquire_lease("reconcile", ttl_s=600) is None
    assert acquired(store, "another").fence == 1


def test_a_released_lease_is_free_and_its_fence_never_falls(store: Store):
    fences = []
    for _ in range(3):
        lease = acquired(store)
        fences.append(lease.fence)
        store.release_lease(lease)
    assert fences == [1, 2, 3]


def test_a_lease_that_was_not_renewed_in_time_is_free(store: Store):
    late = acquired(store)
    change(store, expires_at=1.0)
    successor = acquired(store)
    assert successor.fence == late.fence + 1
    assert not store.renew_lease(late, ttl_s=600)
    store.release_lease(late)
    assert store.acquire_lease("reconcile", ttl_s=600) is None, "who lost it cannot give it back"
    assert store.renew_lease(successor, ttl_s=600)


def test_a_late_holder_without_a_successor_can_still_renew(store: Store):
    lease = acquired(store)
    change(store, expires_at=1.0)
    assert store.renew_lease(lease, ttl_s=600)
    assert store.acquire_lease("reconcile", ttl_s=600) is None


def test_a_renewal_holds_the_lease_for_longer(store: Store):
    lease = store.acquire_lease("reconcile", ttl_s=-1)
    assert lease is not None
    assert store.renew_lease(lease, ttl_s=600)
    assert store.acquire_lease("reconcile", ttl_s=600) is None


def test_a_released_lease_is_not_renewed(store: Store):
    lease = acquired(store)
    store.release_lease(lease)
    store.release_lease(lease)
    assert not store.renew_lease(lease, ttl_s=600)


def test_a_dead_process_of_this_host_loses_its_lease_at_once(store: Store):
    acquired(store)
    change(store, pid=2**22 + 1)
    acquired(store)
    change(store, started_at=1.0)  # the pid is another process's now
    acquired(store)


def test_another_hosts_process_keeps_its_lease_until_its_time_is_over(store: Store):
    acquired(store)
    change(store, host="elsewhere", pid=2**22 + 1)
    assert store.acquire_lease("reconcile", ttl_s=600) is None
    change(store, expires_at=1.0)
    acquired(store)
