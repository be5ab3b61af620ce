"""Nodes as containers of a Docker Engine on this machine, with its NVIDIA GPUs where it has any."""

from __future__ import annotations

from conduit.compute.docker.provider import DockerProvider

__all__ = ["DockerProvider"]
