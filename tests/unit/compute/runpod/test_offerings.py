"""RunPod's catalogue becomes offerings: usable memory, prices of whole machines, clouds and regions apart."""

from __future__ import annotations

import pytest

from conduit.compute import GPU_FACTS, GPUS, OfferingQuery
from conduit.errors import AmbiguousAnswer, ProviderRejected
from support.runpod_account import gpu_type

pytestmark = pytest.mark.anyio


async def test_an_offering_says_what_can_be_used_and_what_the_whole_machine_costs(provider, account):
    found = await provider.offerings(OfferingQuery(gpu_counts=(1, 2)))
    one, two = found
    assert (one.gpu, one.name, one.gpu_count, one.secure) == ("NVIDIA L4", "NVIDIA L4", 1, True)
    assert one.memory_gib == GPU_FACTS[GPUS.NVIDIA_L4].memory_gib < 24
    assert (one.compute_capability, one.availability, one.region) == (8.9, "high", None)
    assert (one.usd_per_hour, two.usd_per_hour) == (0.39, 0.78)
    params = dict(account.asked[0].url.params)
    assert params == {"include": "AVAILABILITY", "product": "POD", "count": "1", "cloud": "SECURE"}


async def test_secure_and_community_are_offerings_of_their_own(provider, account):
    both = {"secure": 0.69, "community": 0.34}
    account.types = [gpu_type(id="NVIDIA GeForce RTX 4090", community=True, price=both,
                              maxCount={"secure": 8, "community": 4})]  # fmt: skip
    found = await provider.offerings(OfferingQuery(gpu_counts=(8, 4)))
    assert [(o.gpu_count, o.secure, o.usd_per_hour) for o in found] == [
        (8, True, pytest.approx(5.52)),
        (4, True, pytest.approx(2.76)),
        (4, False, pytest.approx(1.36)),
    ]
    assert all(o.secure for o in await provider.offerings(OfferingQuery(secure=True)))


async def test_regions_are_offered_each_with_its_own_stock(provider):
    found = await provider.offerings(OfferingQuery(regions=("EU-RO-1", "EU-SE-1")))
    assert [(o.region, o.availability) for o in found] == [("EU-RO-1", "low")]


async def test_a_gpu_is_asked_for_by_either_name(provider, account):
    account.types = [gpu_type(), gpu_type(id="NVIDIA H100 80GB HBM3")]
    assert [o.gpu for o in await provider.offerings(OfferingQuery(gpu=GPUS.NVIDIA_H100_80GB))] == [
        "NVIDIA H100 80GB HBM3"
    ]
    assert len(await provider.offerings(OfferingQuery(gpu="NVIDIA L4"))) == 1
    assert await provider.offerings(OfferingQuery(gpu="NVIDIA Z99")) == []


async def test_what_is_unknown_is_bounded_below(provider, account):
    account.types = [gpu_type(id="NVIDIA Z99", memory=80, availability="PLENTY")]
    (found,) = await provider.offerings(OfferingQuery())
    assert found.name == "NVIDIA Z99"
    assert found.memory_gib == pytest.approx(74.5, abs=0.01)
    assert (found.compute_capability, found.availability) == (None, "unknown")


async def test_what_is_sold_out_is_listed_as_such(provider, account):
    account.types = [gpu_type(availability="NONE")]
    assert [o.availability for o in await provider.offerings(OfferingQuery())] == ["none"]


async def test_a_price_that_is_none_is_no_offering(provider, account):
    account.types = [gpu_type(price={"secure": 0.0, "community": 0.0})]
    assert await provider.offerings(OfferingQuery()) == []


async def test_with_a_volume_only_its_own_region_counts(open_provider, account):
    account.volumes["vol1"] = {"id": "vol1", "dataCenter": "EU-RO-1"}
    provider = open_provider(runpod_volume="vol1")
    found = await provider.offerings(OfferingQuery())
    assert {(o.region, o.secure) for o in found} == {("EU-RO-1", True)}
    with pytest.raises(ProviderRejected, match="lies in EU-RO-1, not in US-KS-2"):
        await provider.offerings(OfferingQuery(regions=("US-KS-2",)))
    with pytest.raises(ProviderRejected, match="no network volume gone"):
        await open_provider(runpod_volume="gone").offerings(OfferingQuery())


@pytest.mark.parametrize("broken", [{"price": None}, {"maxCount": {}}, {"memory": "much"}, {"secure": None}])
async def test_a_catalogue_that_cannot_be_read_is_said(provider, account, broken):
    account.types = [gpu_type(id="NVIDIA Z99", **broken)]
    if broken == {"secure": None}:
        assert await provider.offerings(OfferingQuery()) == []
        return
    with pytest.raises(AmbiguousAnswer, match="catalogue cannot be read"):
        await provider.offerings(OfferingQuery())
