"""``python -m conduit.sim.runpod``: how ``Simulator`` starts one. Options come over stdin, the address over stdout.

It ends when stdin does: whoever started it is gone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading

from conduit.sim.runpod.address import Address
from conduit.sim.runpod.options import Options
from conduit.sim.runpod.server import serve


def main() -> None:
    """Reads the options, serves, ends."""
    options = Options.model_validate_json(sys.stdin.readline())
    asyncio.run(_run(options))


async def _run(options: Options) -> None:
    loop, gone = asyncio.get_running_loop(), asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(gone.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    await serve(options, on_ready=_say, until=gone)


def _say(address: Address) -> None:
    sys.stdout.write(json.dumps({"base_url": address.base_url}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
