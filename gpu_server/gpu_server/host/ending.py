"""Asks for the end of this machine until it comes.

A 204 is no proof, and a machine whose process ends by itself is often started again and billed on. So this process
stays, refuses work, and asks again and again, with pauses that grow to a minute: what ends it is the machine's end,
or a signal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gpu_server.host.base import Host
from gpu_server.serving.back_off import BackOff

logger = logging.getLogger(__name__)


async def ask_until_gone(host: Host, *, back_off: Callable[[], BackOff] = BackOff) -> None:
    """Ask for ever; whoever calls this ends it by cancelling.

    Args:
        host: The machine.
        back_off: Makes the pauses.
    """
    pauses = back_off()
    try:
        while True:
            asked = await host.end()
            if asked == "refused":
                logger.error("%s: this key may not end it; it is billed until its owner ends it", host.name)
            await asyncio.sleep(pauses.pause_s(0.0))
    finally:
        await host.close()
