"""What nvidia-smi prints becomes offerings: by the names that people use, and only what is free."""

from __future__ import annotations

import anyio
import pytest

from conduit.compute import OfferingQuery, nvidia
from conduit.compute.nvidia import Gpu
from conduit.errors import ProviderUnavailable

PRINTED = """\
GPU-1, NVIDIA H100 80GB HBM3, 81559, 9.0
GPU-2, NVIDIA H100 80GB HBM3, 81559, 9.0
GPU-3, Tesla T4, 15360, [N/A]
"""


def offered(query: OfferingQuery, taken: set[str] | None = None) -> list[tuple[str, int, str]]:
    found = nvidia.offerings("ssh", nvidia.parse(PRINTED, "gpu1"), taken or set(), query, region="gpu1")
    assert all((one.provider, one.region, one.usd_per_hour) == ("ssh", "gpu1", 0.0) for one in found)
    return [(one.name, one.gpu_count, one.availability) for one in found]


def test_each_type_is_offered_as_often_as_it_is_there():
    query = OfferingQuery(gpu_counts=(1, 2, 4))
    h100, t4 = "NVIDIA H100 80GB", "NVIDIA T4"
    assert offered(query) == [(h100, 1, "high"), (h100, 2, "high"), (t4, 1, "high")]
    assert offered(query, {"GPU-2"}) == [(h100, 1, "high"), (h100, 2, "none"), (t4, 1, "high")]


@pytest.mark.parametrize("asked", ["NVIDIA T4", "Tesla T4"])
def test_a_type_is_asked_for_by_its_common_name_or_its_own(asked: str):
    assert offered(OfferingQuery(gpu=asked)) == [("NVIDIA T4", 1, "high")]


def test_another_place_has_nothing():
    assert offered(OfferingQuery(regions=("gpu2",))) == []
    assert len(offered(OfferingQuery(regions=("gpu1", "gpu2")))) == 2


def test_memory_is_what_the_driver_gives_and_the_rest_may_be_unknown():
    h100, _, t4 = nvidia.parse(PRINTED, "here")
    assert h100.memory_gib == pytest.approx(79.65, abs=0.01)
    assert (h100.compute_capability, t4.compute_capability) == (9.0, None)


@pytest.mark.parametrize(
    ("printed", "memory_mib", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", 81920, "NVIDIA A100 80GB"),
        ("NVIDIA A100 80GB PCIe", 81920, "NVIDIA A100 80GB"),
        ("NVIDIA A100-PCIE-40GB", 40960, "NVIDIA A100 40GB"),
        ("NVIDIA H100 PCIe", 81559, "NVIDIA H100 80GB"),
        ("NVIDIA H100 NVL", 95830, "NVIDIA H100 NVL"),
        ("NVIDIA GeForce RTX 4090", 24564, "NVIDIA RTX 4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16376, "NVIDIA GeForce RTX 4090 Laptop GPU"),
        ("NVIDIA RTX 6000 Ada Generation", 49140, "NVIDIA RTX 6000 Ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887, "NVIDIA RTX PRO 6000"),
        ("NVIDIA A10", 23028, "NVIDIA A10"),
        ("NVIDIA A10G", 23028, "NVIDIA A10G"),
        ("NVIDIA L40S", 46068, "NVIDIA L40S"),
    ],
)
def test_a_card_has_the_name_that_people_use_or_keeps_its_own(printed: str, memory_mib: int, name: str):
    assert Gpu("u", printed, memory_mib / 1024, None).name == name


@pytest.mark.parametrize("text", ["No devices were found", "GPU-1, NVIDIA L4, [N/A], 8.9", "a, b, c"])
def test_what_is_no_list_of_gpus_is_said_with_the_machine(text: str):
    with pytest.raises(ProviderUnavailable, match="nvidia-smi on gpu1 does not work"):
        nvidia.parse(text, "gpu1")


def test_a_machine_without_nvidia_smi_has_no_gpus():
    assert anyio.run(nvidia.gpus_here, "no-such-program") == []
