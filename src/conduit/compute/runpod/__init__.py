"""RunPod: nodes are pods, or serverless endpoints, of its REST API v2. What it has on sale is asked from it."""

from __future__ import annotations

from conduit.compute.runpod.api import Api
from conduit.compute.runpod.provider import RunPodProvider

__all__ = ["Api", "RunPodProvider"]
