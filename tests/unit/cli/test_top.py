"""``conduit top``: its numbers from what replicas say, and a picture that fits every terminal."""

import io
import itertools
import json

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from rich.console import Console
from typer.testing import CliRunner

from conduit import lmlite
from conduit.cli.app import app
from conduit.cli.top_rows import History
from conduit.cli.top_samples import Samples
from conduit.cli.top_screen import COLUMNS, Screen
from conduit.lmlite import DeploymentView, NodeSummary, Said

TTFT = "gpu_server_time_to_first_token_seconds"


class Metrics:
    """Writes a scrape as a replica does."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = {"registry": self.registry}
        self.requests = Counter("gpu_server_requests", "x", ("model", "status"), **labels)
        self.tokens = Counter("gpu_server_completion_tokens", "x", ("model",), **labels)
        self.kv = Gauge("gpu_server_kv_cache_usage_ratio", "x", ("model",), **labels)
        self.memory = Gauge("process_resident_memory_bytes", "x", **labels)
        self.below = Gauge("gpu_server_child_resident_memory_bytes", "x", **labels)
        self.ttft = Histogram(TTFT, "x", ("model",), buckets=(0.1, 0.2, 0.4), **labels)

    def text(self) -> str:
        return generate_latest(self.registry).decode()


def deployment(*nodes: NodeSummary, **fields) -> DeploymentView:
    given = {
        "key": "shop-1",
        "name": "tickets",
        "project": "shop",
        "provider": "local",
        "state": "ready",
        "reason": None,
        "models": ("m",),
        "replicas": 2,
        "created_at": 0.0,
        "nodes": nodes,
        "wanted_by": ("here:1",),
    }
    return DeploymentView(**given | fields)


def node(replica: int = 0, **fields) -> NodeSummary:
    given = {
        "id": f"n{replica}",
        "replica": replica,
        "state": "ready",
        "alive": True,
        "url": "http://127.0.0.1:1",
        "log": None,
        "created_at": 0.0,
    }
    return NodeSummary(**given | fields)


def said(at: float, metrics: Metrics, **model) -> Said:
    entry = {"model_id": "m", "state": "ready", "reason": None, "running": 3, "waiting": 1, "restarts": 2}
    return Said(at, {"ready": True, "models": [entry | model]}, metrics.text())


def only(rows):
    (row,) = rows
    (replica,) = row.replicas
    (model,) = replica.models
    return replica, model


def test_labels_with_every_character_are_read_back() -> None:
    metrics = Metrics()
    name = 'a "b" {c}, d="e" \\ \n é'
    metrics.tokens.labels(name).inc(7)
    assert Samples(metrics.text()).value("gpu_server_completion_tokens_total", model=name) == 7


def test_lines_that_are_none_are_left_out() -> None:
    samples = Samples('<html>\nnonsense {\na b c d\nx{y="1"} not-a-number\ngood 1\ngood{z="2"} 2e1\n')
    assert samples.value("good") == 21
    assert samples.value("x") is None


@pytest.mark.parametrize(
    ("observed", "share", "wanted"),
    [
        ([0.05] * 10, 0.5, 0.05),
        ([0.05] * 5 + [0.3] * 5, 0.5, 0.1),
        ([0.05] * 5 + [0.3] * 5, 0.95, 0.38),
        ([9.0], 0.5, 0.4),  # beyond the last bound nothing more is known
        ([], 0.5, None),
    ],
)
def test_quantiles_are_those_that_prometheus_would_give(observed, share, wanted) -> None:
    metrics = Metrics()
    before = Samples(metrics.text())
    for seconds in observed:
        metrics.ttft.labels("m").observe(seconds)
    assert Samples(metrics.text()).quantile(share, before, TTFT, model="m") == pytest.approx(wanted)


def test_rates_are_differences_and_the_first_look_has_none() -> None:
    metrics, history, views = Metrics(), History(), [deployment(node())]
    metrics.requests.labels("m", "200").inc(100)
    metrics.tokens.labels("m").inc(1000)
    metrics.memory.set(100)
    metrics.below.set(1000)
    replica, first = only(history.rows(views, {"n0": said(50.0, metrics)}))
    assert (first.requests_per_s, first.tokens_per_s, first.errors_last_minute) == (None, None, None)
    assert (first.running, first.waiting, first.restarts, first.kv_used) == (3, 1, 2, None)
    assert replica.rss_bytes == 1100
    metrics.requests.labels("m", "200").inc(6)
    metrics.requests.labels("m", "503").inc(3)
    metrics.requests.labels("m", "499").inc(1)
    metrics.requests.labels("other", "500").inc(50)
    metrics.tokens.labels("m").inc(50)
    metrics.kv.labels("m").set(0.25)
    _, second = only(history.rows(views, {"n0": said(52.0, metrics)}))
    assert (second.requests_per_s, second.tokens_per_s, second.errors_last_minute) == (5.0, 25.0, 3)
    assert second.kv_used == 0.25


def test_first_tokens_are_those_of_the_last_minute_or_of_all_where_it_had_none() -> None:
    metrics, history, views = Metrics(), History(), [deployment(node())]
    metrics.ttft.labels("m").observe(0.15)
    assert only(history.rows(views, {"n0": said(0.0, metrics)}))[1].first_token_p50_s == pytest.approx(0.15)
    metrics.ttft.labels("m").observe(0.3)
    assert only(history.rows(views, {"n0": said(30.0, metrics)}))[1].first_token_p50_s == pytest.approx(0.3)
    later = only(history.rows(views, {"n0": said(100.0, metrics)}))[1]
    assert later.first_token_p50_s == pytest.approx(0.2)


def test_an_engine_that_began_anew_gives_no_negative_rate() -> None:
    history, views = History(), [deployment(node())]
    old, new = Metrics(), Metrics()
    old.tokens.labels("m").inc(1000)
    new.tokens.labels("m").inc(20)
    history.rows(views, {"n0": said(0.0, old)})
    assert only(history.rows(views, {"n0": said(2.0, new)}))[1].tokens_per_s == 10.0


def test_replicas_that_are_gone_or_silent_are_shown_as_that() -> None:
    views = [deployment(node(0, alive=False, state="lost"), node(1))]
    (row,) = History().rows(views, {"n1": Said(0.0)})
    assert [(r.state, r.models[0].state) for r in row.replicas] == [("lost", "lost"), ("silent", "silent")]
    draining = Said(1.0, {"draining": True, "models": [{"model_id": "m", "state": "ready"}]})
    (row,) = History().rows([deployment(node())], {"n0": draining})
    assert row.replicas[0].state == "draining"


def picture(rows, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(Screen(rows, "conduit top  /home/somebody/shop", "q quits"))
    return console.export_text()


@pytest.fixture
def rows():
    history, metrics = History(), Metrics()
    views = [deployment(node(0), node(1), replicas=3)]
    long = "organization/a-model-with-a-very-long-name-Instruct-2507"
    for at in (0.0, 2.0):
        metrics.tokens.labels(long).inc(12345)
        metrics.ttft.labels(long).observe(0.2)
        metrics.memory.set(3 * 2**30)
        one = said(at, metrics, model_id=long)
        two = said(at, metrics, model_id=long, state="starting", reason="the engine was lost: killed [9]")
        found = history.rows(views, {"n0": one, "n1": two})
    return found


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 120, 200])
def test_the_picture_fits_and_the_most_important_stays(rows, width: int) -> None:
    text = picture(rows, width)
    lines = text.rstrip("\n").split("\n")
    assert max(map(len, lines)) <= width
    assert "conduit top" in lines[0]
    assert text.count("\n") < 12, "no line is folded"
    assert "Inst" in text or "2507" in text, "the end of a name tells models apart"
    if width >= 60:
        assert "2 of 3 replicas" in text
        assert "run" in text
        assert "starting" in text
    if width >= 160:
        for column in COLUMNS:
            assert column.title in text
        assert "3.0 GiB" in text
        assert "the engine was lost: killed [9]" in text


def test_more_room_never_hides_a_column(rows) -> None:
    shown = []
    for width in range(30, 200, 5):
        text = picture(rows, width)
        shown.append({column.title for column in COLUMNS if f" {column.title}" in text})
    for narrow, wide in itertools.pairwise(shown):
        assert narrow <= wide


class NoReplicas:
    def __init__(self, settings) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass

    def ask(self, deployments):
        return {}


@pytest.fixture
def nothing(monkeypatch):
    monkeypatch.setattr(lmlite, "deployments", lambda settings, **_: [])
    monkeypatch.setattr("conduit.cli.top.Watch", NoReplicas)


def test_with_nothing_up_it_says_what_to_do(nothing) -> None:
    shown = CliRunner().invoke(app, ["top", "--once", "--interval", "0.1"])
    assert shown.exit_code == 0
    assert "No deployments here. A flow or `with lm:` starts one" in shown.stdout.replace("\n", " ")


def test_json_is_one_line_a_look(nothing) -> None:
    shown = CliRunner().invoke(app, ["top", "--once", "--json", "--interval", "0.1"])
    (line,) = shown.stdout.splitlines()
    document = json.loads(line)
    assert document["deployments"] == []
    assert document["at"] > 0
