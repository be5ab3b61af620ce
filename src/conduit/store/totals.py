"""Sums over the block calls and model calls of one flow run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select

from conduit.store import tables
from conduit.store.runs import BlockTotals, CallState, FlowTotals

_BLOCK = tables.block_call.c
_MODEL = tables.model_call.c
_RUN = tables.flow_run.c

_MODEL_SUMS = (
    func.count().label("model_calls"),
    func.sum(_MODEL.prompt_tokens).label("prompt_tokens"),
    func.sum(_MODEL.completion_tokens).label("completion_tokens"),
    func.sum(_MODEL.cost_usd).label("cost_usd"),
    func.sum(_MODEL.repairs).label("repairs"),
)


def of_flow_run(connection: Connection, flow_run_id: str) -> FlowTotals:
    """The sums of one flow run; all zero when it is not known."""
    blocks = _block_calls(connection, flow_run_id)
    models = _model_calls(connection, flow_run_id)
    by_block = [
        replace(blocks.get(name, BlockTotals(name)), **models.get(name, {})) for name in blocks | models
    ]
    run = connection.execute(
        select(_RUN.started_at, _RUN.ended_at).where(_RUN.id == flow_run_id)
    ).one_or_none()
    in_run = _MODEL.flow_run_id == flow_run_id
    p50_s, p95_s = _percentiles(connection, _MODEL.flow_run_id, _MODEL.latency_s, in_run).get(
        flow_run_id, (None, None)
    )
    costs = [each.cost_usd for each in by_block if each.cost_usd is not None]
    return FlowTotals(
        block_calls=sum(each.calls for each in by_block),
        done=sum(each.done for each in by_block),
        failed=sum(each.failed for each in by_block),
        cached=sum(each.cached for each in by_block),
        model_calls=sum(each.model_calls for each in by_block),
        attempts=int(connection.scalar(select(func.sum(_MODEL.attempts)).where(in_run)) or 0),
        prompt_tokens=sum(each.prompt_tokens for each in by_block),
        completion_tokens=sum(each.completion_tokens for each in by_block),
        cost_usd=sum(costs) if costs else None,
        p50_s=p50_s,
        p95_s=p95_s,
        repairs=sum(each.repairs for each in by_block),
        started_at=None if run is None else run.started_at,
        ended_at=None if run is None else run.ended_at,
        by_block=tuple(sorted(by_block, key=lambda each: (-each.calls, -each.model_calls, each.block))),
    )


def _block_calls(connection: Connection, flow_run_id: str) -> dict[str, BlockTotals]:
    in_run = _BLOCK.flow_run_id == flow_run_id
    percentiles = _percentiles(connection, _BLOCK.block, _BLOCK.duration_s, in_run)
    query = select(
        _BLOCK.block,
        func.count().label("calls"),
        func.sum(_BLOCK.attempts).label("attempts"),
        *(func.sum(case((_BLOCK.state == state, 1), else_=0)).label(state.value) for state in CallState),
    )
    found = {}
    for row in connection.execute(query.where(in_run).group_by(_BLOCK.block)):
        p50_s, p95_s = percentiles[row.block]
        found[row.block] = BlockTotals(**_whole(row), p50_s=p50_s, p95_s=p95_s)
    return found


def _model_calls(connection: Connection, flow_run_id: str) -> dict[str, dict[str, Any]]:
    """The sums of the model calls by the block that they were made for."""
    # A call that names no block call knows its block's short name, or is a direct one.
    whose = func.coalesce(_BLOCK.block, _MODEL.block, _MODEL.model_id)
    both = tables.model_call.outerjoin(tables.block_call, _BLOCK.id == _MODEL.block_call_id)
    query = select(whose.label("whose"), *_MODEL_SUMS).select_from(both)
    rows = connection.execute(query.where(_MODEL.flow_run_id == flow_run_id).group_by(whose))
    return {row.whose: {k: v for k, v in _whole(row).items() if k != "whose"} for row in rows}


def _percentiles(
    connection: Connection,
    group: ColumnElement[Any],
    figure: ColumnElement[float],
    condition: ColumnElement[bool],
) -> dict[str, tuple[float | None, float | None]]:
    """Of each group the figures that half, and 95 of 100, are no greater than."""
    ranked = (
        select(
            group.label("group"),
            figure.label("figure"),
            func.row_number().over(partition_by=group, order_by=figure).label("rank"),
            func.count().over(partition_by=group).label("count"),
        )
        .where(condition)
        .subquery()
    )
    its_group, rank, count = ranked.c["group"], ranked.c["rank"], ranked.c["count"]
    at = [func.max(case((rank == (count * percent + 99) // 100, ranked.c["figure"]))) for percent in (50, 95)]
    query = select(its_group, *at).group_by(its_group)
    return {name: (p50, p95) for name, p50, p95 in connection.execute(query)}


def _whole(row: Any) -> dict[str, Any]:
    """Sums as Python's own numbers: Postgres adds integers up to decimals."""
    return {
        name: int(value) if name not in ("block", "whose", "cost_usd") else value
        for name, value in row._mapping.items()  # noqa: SLF001 - SQLAlchemy's public name for it
    }
