"""A stand-in for gpu_server: takes the same arguments, announces itself, and misbehaves as its config asks.

It is configured by ``--config`` or ``GPU_SERVER_CONFIG``; ``--host`` and ``--port`` go before that. Keys beside the
usual ones: ``announce_after_s``, ``ignore_term``, ``exit_code`` (exit at once), ``child`` (start a process that
ignores SIGTERM). Run as a program; it imports nothing of Conduit.
"""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = f"Bearer {os.environ['GPU_SERVER_TOKEN']}"
        authorized = self.path == "/live" or self.headers.get("authorization") == wanted
        self.send_response(200 if authorized else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def main():
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    text = Path(given["--config"]).read_text() if "--config" in given else os.environ["GPU_SERVER_CONFIG"]
    config = json.loads(text)
    address = given.get("--host", config["host"]), int(given.get("--port", config["port"]))
    sys.stderr.write("stand-in starts\n")
    if config.get("exit_code") is not None:
        sys.stderr.write("cannot load the model\n")
        sys.exit(config["exit_code"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN if config.get("ignore_term") else lambda *_: os._exit(0))
    if config.get("child"):
        subprocess.Popen([sys.executable, "-c", STUBBORN])
    server = ThreadingHTTPServer(address, Handler)
    time.sleep(config.get("announce_after_s", 0))
    if "announce" in config:
        announce = Path(config["announce"])
        draft = announce.with_suffix(".tmp")
        draft.write_text(json.dumps({"pid": os.getpid(), "host": address[0], "port": server.server_port}))
        draft.replace(announce)
    server.serve_forever()


if __name__ == "__main__":
    main()
