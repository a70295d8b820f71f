"""What Prometheus and Grafana are given fits the service and each other."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.settings import Settings
from tests.app.served import Served

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
DASHBOARD: dict[str, Any] = json.loads(
    (DEPLOY / "grafana/dashboards/vae.json").read_text(encoding="utf-8")
)
QUERIES = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
OF_PROMETHEUS = {"instance", "job"}  # labels that it adds itself


def read(path: str) -> Any:
    """Return what a YAML file of this repository says."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def labels(checkpoints: Path) -> dict[str, set[str]]:
    """Return the labels of each sample in the metrics of a service that was used."""
    with Served(checkpoints / "bernoulli") as served:
        served.post("/sample", {"n": 2})
        served.get("/nope")
        text = served.get("/metrics").text
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def names(expression: str) -> set[str]:
    """Return the metrics of an expression."""
    return set(re.findall(r"\bvae_\w+", expression))


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["expr"][:40])
def test_each_query_is_about_what_is_counted(
    labels: dict[str, set[str]], query: dict[str, str]
) -> None:
    """Its metrics exist, have the labels it groups by, and its legend names those."""
    expression = query["expr"]
    grouped = {
        label
        for group in re.findall(r"\bby \(([^)]*)\)", expression)
        for label in group.split(", ")
    }
    legend = set(re.findall(r"{{(\w+)}}", query["legendFormat"]))

    assert names(expression)
    for name in names(expression):
        assert name in labels
        assert grouped <= labels[name] | OF_PROMETHEUS
    assert legend <= grouped - {"le"}
    assert expression.count("(") == expression.count(")")
    for name in names(expression):
        is_counted = name.endswith(("_total", "_sum", "_count", "_bucket"))
        assert (f"rate({name}[$__rate_interval])" in expression) == is_counted


def test_every_metric_of_the_service_is_on_the_dashboard(
    labels: dict[str, set[str]],
) -> None:
    """A new metric is added here too; a histogram counts once."""
    shown = {name for query in QUERIES for name in names(query["expr"])}

    def family(name: str) -> str:
        return re.sub(r"_(bucket|sum|count|created|total)$", "", name)

    assert {family(name) for name in shown} == {family(name) for name in labels}


def test_every_metric_of_the_service_is_documented(
    labels: dict[str, set[str]],
) -> None:
    """The table of docs/operating.md has each metric with its labels, and no other."""
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `(vae_\w+)` \| ([\w, ]*?) ?\|", page, re.MULTILINE)
    documented = {name: set(filter(None, of.split(", "))) for name, of in found}

    counted = {
        re.sub(r"_(bucket|sum|count)$", "", name): of - {"le"}
        for name, of in labels.items()
        if not name.endswith("_created")
    }

    assert documented == counted


def test_panels_stand_beside_each_other() -> None:
    """Ids are unique, none overlaps another, and none leaves the 24 columns."""
    panels = DASHBOARD["panels"]
    places = [panel["gridPos"] for panel in panels]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )


def test_the_dashboard_asks_the_source_that_is_provided() -> None:
    """Panels, queries and provisioning name one source, which is the container's."""
    [source] = read("deploy/grafana/provisioning/datasources/prometheus.yml")[
        "datasources"
    ]
    asked = {
        one["datasource"]["uid"]
        for panel in DASHBOARD["panels"]
        for one in (panel, *panel["targets"])
    }

    assert asked == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    assert (
        source["jsonData"]["timeInterval"]
        == read("deploy/prometheus/prometheus.yml")["global"]["scrape_interval"]
    )


def test_prometheus_asks_the_service() -> None:
    """The target is the compose service on its port; the path is the default."""
    [job] = read("deploy/prometheus/prometheus.yml")["scrape_configs"]
    services = read("docker-compose.yml")["services"]

    [target] = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert host in services
    assert int(port) == Settings.model_fields["port"].default
    assert "metrics_path" not in job


def test_only_those_who_ask_for_it_get_it_and_what_is_mounted_is_there() -> None:
    """Both are in the profile `observe`, pinned, with files of this repository."""
    described = read("docker-compose.yml")
    [provider] = read("deploy/grafana/provisioning/dashboards/vae.yml")["providers"]
    mounted = []

    for name in ("prometheus", "grafana"):
        service = described["services"][name]
        assert service["profiles"] == ["observe"]
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])
        for volume in service["volumes"]:
            source, target, *mode = volume.split(":")
            mounted.append(target)
            if source.startswith("./"):
                assert (ROOT / source).is_dir()
                assert mode == ["ro"]
            else:
                assert source in described["volumes"]
    assert provider["options"]["path"] in mounted
    assert "profiles" not in described["services"]["api"]
