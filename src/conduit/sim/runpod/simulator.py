"""A simulator as a process of its own, for tests, benchmarks and programs: started, asked, ended."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import IO, Any, Self

import httpx

from conduit.errors import ProviderUnavailable
from conduit.sim.runpod.address import Address
from conduit.sim.runpod.faults import Fault
from conduit.sim.runpod.options import Options

_END_S = 15.0
_TAIL_CHARS = 2000


class Simulator:
    """A simulated RunPod on this machine; ends, with all its pods, at the end of the ``with`` block.

    Attributes:
        options: How it was set up.
        base_url: What ``CONDUIT_RUNPOD_BASE_URL`` is set to.
    """

    def __init__(self, **options: Any) -> None:
        """Sets it up; ``options`` are the fields of ``Options``, and faults may be given in their written form."""
        given = options.pop("faults", ())
        faults = tuple(Fault.parse(fault) if isinstance(fault, str) else fault for fault in given)
        self.options = Options(**options, faults=faults)
        self.base_url = ""
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        """Starts it and returns when it listens.

        Raises:
            ProviderUnavailable: It did not start.
        """
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "conduit.sim.runpod"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # Ctrl-C is its user's to handle
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(self.options.model_dump_json() + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            said = self._log.read()[-_TAIL_CHARS:]
            self.close()
            raise ProviderUnavailable(
                f"The simulator did not start: {said.strip() or 'it said nothing'}",
                hint="Is its port taken? Port 0 takes a free one.",
            )
        self.base_url = json.loads(line)["base_url"]
        headers = {"Authorization": f"Bearer {self.options.admin_key}"}
        self._client = httpx.Client(base_url=self.base_url, headers=headers, timeout=30, trust_env=False)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        """Ends it and its pods."""
        self.close()

    @property
    def api_key(self) -> str:
        """What ``CONDUIT_RUNPOD_API_KEY`` is set to."""
        return self.options.api_key

    @property
    def proxy_url(self) -> str:
        """What ``CONDUIT_RUNPOD_PROXY_URL`` is set to: a template with ``{pod_id}`` and ``{port}``."""
        return Address(self.base_url).proxy_url

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None, "it was not started"
        return self._process.pid

    def environment(self) -> dict[str, str]:
        """The variables that point a process at it."""
        return Address(self.base_url).environment(self.api_key)

    def state(self) -> dict[str, Any]:
        """Pods, processes, counters, invoice and events, as they truly are."""
        return dict(self._ask("GET", "/sim/state").json())

    def inject(self, *faults: Fault | str) -> None:
        """Lets faults wait, each as a value or in its written form."""
        for fault in faults:
            value = Fault.parse(fault) if isinstance(fault, str) else fault
            self._ask("POST", "/sim/faults", json=value.model_dump(exclude_defaults=True))

    def clear(self) -> None:
        """No fault waits any more."""
        self._ask("DELETE", "/sim/faults")

    def kill(self, pod_id: str) -> None:
        """The pod's process dies."""
        self._ask("POST", f"/sim/pods/{pod_id}/kill")

    def restart(self, pod_id: str) -> None:
        """The pod's process is started anew, on another port."""
        self._ask("POST", f"/sim/pods/{pod_id}/restart")

    def close(self) -> None:
        """Ends it; does nothing when it has ended."""
        if self._client is not None:
            self._client.close()
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        if self._log is not None:
            self._log.close()

    def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        assert self._client is not None, "it was not started"
        try:
            return self._client.request(method, path, **how).raise_for_status()
        except httpx.HTTPError as error:
            raise ProviderUnavailable(f"The simulator does not answer: {error}.") from error
