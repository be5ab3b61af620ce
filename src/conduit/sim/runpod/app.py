"""The simulator's routes put together."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.responses import Response

from conduit.sim.runpod.api import (
    account,
    admin,
    billing,
    catalog,
    endpoints,
    logs,
    pods,
    runtime,
    worker_jobs,
)
from conduit.sim.runpod.api.gate import Gate, Operation, authorized
from conduit.sim.runpod.api.proxy import METHODS, Proxy
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.problems import Problem

PATHS: Mapping[str, Mapping[str, Operation]] = {
    "/v2/pods": {"GET": Operation("list", pods.list_all), "POST": Operation("create", pods.create)},
    "/v2/pods/{id}": {
        "GET": Operation("get", pods.get),
        "PATCH": Operation("update", pods.update),
        "DELETE": Operation("delete", pods.delete),
    },
    "/v2/pods/{id}/action": {"POST": Operation("action", pods.action)},
    "/v2/pods/{id}/logs": {"GET": Operation("logs", logs.stream)},
    "/v2/serverless": {
        "GET": Operation("endpoint-list", endpoints.list_all),
        "POST": Operation("endpoint-create", endpoints.create),
    },
    "/v2/serverless/{id}": {
        "GET": Operation("endpoint-get", endpoints.get),
        "PATCH": Operation("endpoint-update", endpoints.update),
        "DELETE": Operation("endpoint-delete", endpoints.delete),
    },
    "/v2/serverless/{id}/workers": {"GET": Operation("endpoint-workers", endpoints.workers)},
    "/v2/serverless/{id}/workers/{workerId}/logs": {"GET": Operation("logs", endpoints.worker_logs)},
    "/v2/serverless/{id}/releases": {"GET": Operation("endpoint-get", endpoints.releases)},
    "/v2/templates": {
        "GET": Operation("templates", account.list_templates),
        "POST": Operation("templates", account.create_template),
    },
    "/v2/templates/{id}": {
        "GET": Operation("templates", account.get_template),
        "PATCH": Operation("templates", account.update_template),
        "DELETE": Operation("templates", account.delete_template),
    },
    "/v2/network-volumes": {
        "GET": Operation("volumes", account.list_volumes),
        "POST": Operation("volumes", account.create_volume),
    },
    "/v2/network-volumes/{id}": {
        "GET": Operation("volumes", account.get_volume),
        "PATCH": Operation("volumes", account.update_volume),
        "DELETE": Operation("volumes", account.delete_volume),
    },
    "/v2/registries": {
        "GET": Operation("registries", account.list_registries),
        "POST": Operation("registries", account.create_registry),
    },
    "/v2/registries/{id}": {
        "GET": Operation("registries", account.get_registry),
        "DELETE": Operation("registries", account.delete_registry),
    },
    "/v2/account/ssh-keys": {
        "GET": Operation("account", account.get_ssh_keys),
        "PUT": Operation("account", account.put_ssh_keys),
    },
    "/v2/catalog/templates": {"GET": Operation("catalog", account.public_templates)},
    "/v2/catalog/gpus": {"GET": Operation("catalog", catalog.gpus)},
    "/v2/catalog/gpus/{id}": {"GET": Operation("catalog", catalog.gpu)},
    "/v2/catalog/cpus": {"GET": Operation("catalog", catalog.cpus)},
    "/v2/catalog/cpus/{id}": {"GET": Operation("catalog", catalog.cpu)},
    "/v2/catalog/datacenters": {"GET": Operation("catalog", catalog.data_centers)},
    "/v2/catalog/datacenters/{id}": {"GET": Operation("catalog", catalog.data_center)},
    "/v2/billing": {"GET": Operation("billing", billing.everything)},
    "/v2/billing/pods": {"GET": Operation("billing", billing.pods)},
    "/v2/billing/serverless": {"GET": Operation("billing", billing.serverless)},
    "/v2/billing/endpoints": {"GET": Operation("billing", billing.endpoints)},
    "/v2/billing/network-volumes": {"GET": Operation("billing", billing.volumes)},
    "/v2/billing/clusters": {"GET": Operation("billing", billing.clusters)},
}
_ADMIN = {
    ("/sim/state", "GET"): admin.show,
    ("/sim/faults", "POST"): admin.inject,
    ("/sim/faults", "DELETE"): admin.clear,
    ("/sim/pods/{id}/kill", "POST"): admin.kill,
    ("/sim/pods/{id}/restart", "POST"): admin.restart,
}
_RUNTIME = {
    ("run", "POST"): runtime.run,
    ("runsync", "POST"): runtime.run_sync,
    ("status/{job}", "GET"): runtime.status,
    ("stream/{job}", "GET"): runtime.stream,
    ("cancel/{job}", "POST"): runtime.cancel,
    ("retry/{job}", "POST"): runtime.retry,
    ("purge-queue", "POST"): runtime.purge,
    ("health", "GET"): runtime.health,
    ("openai/v1/{path:path}", "GET"): runtime.openai,
    ("openai/v1/{path:path}", "POST"): runtime.openai,
}
_WORKERS = {
    ("job-take/{worker}", "GET"): worker_jobs.take,
    ("job-take-batch/{worker}", "GET"): worker_jobs.take,
    ("job-stop/{worker}", "GET"): worker_jobs.stop,
    ("job-done/{worker}/{job}", "POST"): worker_jobs.done,
    ("job-stream/{worker}/{job}", "POST"): worker_jobs.part,
    ("ping/{worker}", "GET"): worker_jobs.ping,
}


def make_app(state: State, proxy: Proxy) -> FastAPI:
    """The application over that account."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    gate = Gate(state)
    for path, operations in PATHS.items():
        app.add_route(path, gate.route(operations), methods=list(operations))
    for (path, method), handler in _ADMIN.items():
        app.add_route(path, admin.route(state, handler), methods=[method])
    for (path, method), ask in _RUNTIME.items():
        app.add_route(f"/serverless/{{id}}/{path}", runtime.route(state, ask), methods=[method])
    for (path, method), work in _WORKERS.items():
        app.add_route(f"/serverless/{{id}}/{path}", worker_jobs.route(state, work), methods=[method])
    app.add_route("/proxy/{id}/{port:int}/{path:path}", proxy.forward, methods=list(METHODS))

    async def unknown(request: Request, error: Exception) -> Response:
        """Outside of what there is; without a key not even that is said."""
        if request.url.path.startswith("/v2/"):
            try:
                authorized(state, request)
            except Problem as problem:
                return problem.answer()
        return _unknown(request, error)

    app.add_exception_handler(404, unknown)
    app.add_exception_handler(405, unknown)
    app.add_exception_handler(Exception, _broken)
    return app


def _unknown(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    headers = getattr(error, "headers", None)
    return Problem(
        status, f"{request.method} {request.url.path} is not part of this API", headers=headers
    ).answer()


async def _broken(_request: Request, error: Exception) -> Response:
    return Problem(500, f"the simulator itself failed: {type(error).__name__}").answer()
