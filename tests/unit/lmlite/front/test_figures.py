from prometheus_client.parser import text_string_to_metric_families

from conduit.lmlite.front.figures import Figures


def samples(figures, **others):
    text = figures.text(others.get("connections", 0), others.get("replicas", {})).decode()
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_requests_are_counted_by_route_and_status():
    figures = Figures()
    for status in (200, 200, 429):
        figures.answered("/v1/chat/completions", status, None)
    found = samples(figures, connections=2, replicas={"ready": 2, "dead": 1})
    assert found["conduit_front_requests_total", (("code", "200"), ("route", "/v1/chat/completions"))] == 2
    assert found["conduit_front_replicas", (("state", "dead"),)] == 1
    assert found["conduit_front_connections", ()] == 2


def test_times_to_the_first_byte_are_a_histogram():
    figures = Figures()
    for seconds in (0.004, 0.02, 700.0):
        figures.answered("/v1/chat/completions", 200, seconds)
    found = samples(figures)
    name = "conduit_front_first_byte_seconds"
    assert found[f"{name}_bucket", (("le", "0.005"),)] == 1
    assert found[f"{name}_bucket", (("le", "60.0"),)] == 2
    assert found[f"{name}_bucket", (("le", "+Inf"),)] == found[f"{name}_count", ()] == 3
    assert found[f"{name}_sum", ()] > 700
