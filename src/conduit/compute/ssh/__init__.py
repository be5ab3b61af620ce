"""Nodes as processes of machines that are reached over ssh."""

from __future__ import annotations

from conduit.compute.ssh.provider import SshProvider

__all__ = ["SshProvider"]
