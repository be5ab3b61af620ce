"""What a user sees in Prefect's UI after the demo: the flow's graph, from the fetch to the insert, all green."""

import base64
from collections import defaultdict

import pytest

from support.browser import ARTIFACTS, CHROMIUM, open_page
from support.command_line import CommandLine, until

BATCHES = [f"read_ticket[{start}:{start + 16}]" for start in range(0, 96, 16)]

# Counts pixels of a PNG by their strongest colour; the graph's canvas is WebGL and cannot be read where it stands.
COUNT_COLOURS = """async (png) => {
    const image = await createImageBitmap(await (await fetch("data:image/png;base64," + png)).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const {data} = context.getImageData(0, 0, image.width, image.height);
    const count = {green: 0, red: 0};
    for (let at = 0; at < data.length; at += 4) {
        const [red, green, blue] = data.subarray(at, at + 3);
        if (green > 120 && green > 2 * red && green > 1.5 * blue) count.green += 1;
        if (red > 150 && red > 2 * green && red > 2 * blue) count.red += 1;
    }
    return count;
}"""

pytestmark = [
    pytest.mark.xdist_group("browser"),  # one demo for all of them
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    line = CommandLine(tmp_path_factory.mktemp("demo"))
    try:
        yield line.json("demo", "--keep")
    finally:
        line.run("down")
    assert line.living() == []


@pytest.fixture(scope="module")
def page():
    with open_page() as page:
        yield page


def test_the_graph_leads_from_fetch_over_split_and_batches_to_the_insert_and_all_is_green(report, page):
    with page.expect_response(lambda response: response.url.endswith("/graph-v2")) as answer:
        page.goto(report["flow_run"]["url"])
    nodes = [node for _, node in answer.value.json()["nodes"]]
    assert {node["state_type"] for node in nodes} == {"COMPLETED"}

    # Tasks are called once each, so that Prefect's random endings can go.
    names = {node["id"]: node["label"].rpartition("-")[0] or node["label"] for node in nodes}
    parents = defaultdict(set)
    for node in nodes:
        parents[names[node["id"]]] |= {names[parent["id"]] for parent in node["parents"]}
    assert sorted(names.values()) == sorted(["http_get", "split", *BATCHES, "duckdb_insert", "duckdb_query"])
    assert parents["http_get"] == set()
    assert parents["split"] == {"http_get"}
    assert all(parents[batch] == {"split"} for batch in BATCHES)
    assert parents["duckdb_insert"] == set(BATCHES)

    page.get_by_text("Completed", exact=True).first.wait_for()
    canvas = page.locator("canvas").first
    canvas.wait_for()

    def drawn():
        colours = page.evaluate(COUNT_COLOURS, base64.b64encode(canvas.screenshot()).decode())
        return colours if colours["green"] > 10_000 else None

    colours = until(drawn, "the tasks are drawn in green", timeout_s=30)
    assert colours["red"] == 0
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "prefect-ui.png")


def test_its_list_of_task_runs_shows_the_same_tasks(report, page):
    page.goto(report["flow_run"]["url"])
    page.get_by_text("Task Runs", exact=True).click()
    page.get_by_text("Beginning flow run").first.wait_for(state="hidden")  # the log names the tasks, too
    for name in ("http_get", "split", "duckdb_insert", *BATCHES):
        page.get_by_text(name).first.wait_for()
