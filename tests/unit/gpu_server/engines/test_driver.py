"""The driver of this machine against what an engine's CUDA needs, with a stand-in for nvidia-smi."""

import asyncio
import os

import pytest

from gpu_server.engines import driver
from gpu_server.engines.base import UnfitHost
from gpu_server.preparation import check_driver
from gpu_server.settings import ModelSettings


@pytest.fixture
def smi(tmp_path, monkeypatch):
    def write(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return write


@pytest.mark.parametrize(
    ("cuda", "least"),
    [
        ("12.4", "550.54.14"),
        ("12.4.1", "550.54.14"),
        ("13.0", "580.65.06"),
        ("12.7", "560.28.03"),
        ("9.0", "0"),
    ],
)
def test_each_cuda_has_its_least_driver(cuda, least):
    assert driver.least_for(cuda) == least


@pytest.mark.parametrize("found", ["550.54.14", "550.54.15", "550.100", "575.51.03"])
def test_a_driver_that_is_new_enough_passes(found):
    driver.require(found, "550.54.14", "12.4")


@pytest.mark.parametrize("found", ["550.54", "550.9.0", "535.104.05"])
def test_an_older_one_is_refused_with_both_versions(found):
    with pytest.raises(UnfitHost, match=rf"driver {found} is older than 550\.54\.14 that CUDA 12\.4 needs"):
        driver.require(found, "550.54.14", "12.4")


def test_nvidia_smi_is_asked(smi):
    smi("echo 570.124.06; echo 570.124.06")
    assert asyncio.run(driver.installed()) == "570.124.06"


def test_without_nvidia_smi_the_kernel_tells(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    says = tmp_path / "version"
    says.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
    )
    assert asyncio.run(driver.installed(says)) == "550.54.15"
    assert asyncio.run(driver.installed(tmp_path / "nothing")) is None


def test_a_driver_that_does_not_work_makes_the_machine_unfit(smi, tmp_path):
    smi("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    with pytest.raises(UnfitHost, match="version mismatch"):
        asyncio.run(driver.installed(tmp_path / "nothing"))


def check(environment=None, **model):
    settings = ModelSettings(**{"model_id": "m", "engine": "vllm", **model})
    asyncio.run(check_driver(settings, environment or {}))


@pytest.mark.parametrize(
    ("environment", "model"),
    [
        ({}, {}),
        ({"CUDA_VERSION": "12.4.1"}, {}),
        ({"CUDA_VERSION": "12.4.1"}, {"engine_command": ["other"]}),
        ({}, {"needs_driver": "550", "engine_command": ["other"]}),
    ],
)
def test_what_is_needed_comes_from_the_settings_the_image_or_the_engine(smi, environment, model):
    smi("echo 535.104.05")
    with pytest.raises(UnfitHost, match="older"):
        check(environment, **model)


@pytest.mark.parametrize(
    ("environment", "model"),
    [
        ({}, {"engine": "mistralrs"}),
        ({}, {"engine_command": ["other"]}),
        ({"CUDA_VERSION": "12.2.0"}, {}),
        ({"CUDA_VERSION": "12.8.1"}, {"needs_driver": "0"}),
    ],
)
def test_what_nobody_knows_or_asks_for_is_not_checked(smi, environment, model):
    smi("echo 535.104.05")
    check(environment, **model)
