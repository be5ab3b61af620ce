"""Conduit's replica: one process that serves open language models over the OpenAI protocol, in batches.

The way of a request: `access` (token, size, id) → `api` (types, limits) → `schemas` (can its schema be enforced?) →
`admission` (a place in the model's batch) → `engines` (the model itself). `served_models` holds what is loaded,
`watchdog` ends a forgotten process, `server` owns the socket and the exit codes. Start one with
`python -m gpu_server --config FILE`.
"""

__version__ = "0.1.0"
