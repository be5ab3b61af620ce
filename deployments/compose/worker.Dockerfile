# A worker with Conduit, the embedded engine and this repository's flows. Build it from the repository:
#   docker build --file deployments/compose/worker.Dockerfile --tag conduit-worker:0.1.0 .
FROM python:3.11.14-slim-bookworm AS build

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY gpu_server gpu_server
RUN python -m venv /opt/conduit \
 && /opt/conduit/bin/pip install --no-cache-dir --constraint gpu_server/constraints.txt "./gpu_server[mistralrs]" \
 && /opt/conduit/bin/pip install --no-cache-dir ".[postgres]"

FROM python:3.11.14-slim-bookworm

# Group 0 owns what is written, so that a platform may choose another user id.
RUN useradd --uid 10001 --gid 0 --create-home --home-dir /home/worker worker \
 && mkdir --parents /data /shared /work \
 && chown worker:0 /data /shared /work \
 && chmod g=u /home/worker /data /shared /work

COPY --from=build /opt/conduit /opt/conduit
WORKDIR /work
COPY --chown=10001:0 flows flows
COPY --chown=10001:0 deployments/prefect.yaml prefect.yaml

ENV PATH=/opt/conduit/bin:$PATH \
    HOME=/home/worker \
    PYTHONUNBUFFERED=1 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1
VOLUME ["/data"]
USER 10001:0
CMD ["prefect", "worker", "start", "--pool", "conduit", "--type", "process"]
