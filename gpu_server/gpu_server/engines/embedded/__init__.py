"""The embedded engine's own process: mistral.rs with what it needs, and nothing of the server.

`python -m gpu_server.engines.embedded` reads orders on its standard input and writes answers on its standard
output, both as `frames`. The way of a request: `host` (what is asked for) → `batch` (one dispatcher, the only one
that touches the runner; drain threads) → `answer` (one answer taking shape) → `outbox` (many answers in one write).
The server's side is `engines.mistralrs`; of this package it uses `process` (its end of the pipe), `pending` (a
request on its way), `frames` and `cpu`, and nothing that needs the runtime.
"""
