"""What operators look at: health, the pool, metrics, and the documents of the contract."""

import json
import os
import re
import signal
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import psycopg2.extensions
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.config import Edition
from shared.config import Settings
from shared.contract import METRICS
from shared.lab.services.process import Service
from tests.clients import eventually
from tests.conftest import NO_TLS
from tests.conftest import ServiceFactory
from tests.examples import open_account

# Anything that makes a browser load or send something.
REFERENCES = {"src", "href", "action", "srcset", "data", "poster", "background", "formaction", "ping", "manifest"}


class Page(HTMLParser):
    """What a page refers to, and the text of its scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag."""
        self.references += [value or "" for name, value in attrs if name in REFERENCES]
        self.texts["style"] += [value or "" for name, value in attrs if name == "style"]
        self._inside = tag if tag in self.texts else ""
        if self._inside:
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        """Close a tag."""
        self._inside = ""

    def handle_data(self, data: str) -> None:
        """Take text."""
        if self._inside:
            self.texts[self._inside][-1] += data


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return a Prometheus text's samples by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests_of(text: str, endpoint: str, status: int) -> float:
    """Return how many answers a Prometheus text tells."""
    return samples(text).get(
        ("http_request_duration_seconds_count", (("endpoint", endpoint), ("status", str(status)))), 0.0
    )


@contextmanager
def asleep(client: httpx.Client, count: int, condition: Callable[[Any], bool]) -> Iterator[Any]:
    """Let requests sleep in the database and yield /pool once it shows what is waited for."""
    with ThreadPoolExecutor(count) as threads:
        running = [threads.submit(client.get, "/sleep?seconds=1") for _ in range(count)]
        deadline = monotonic() + 10
        while not condition(found := client.get("/pool").json()):
            assert monotonic() < deadline, found
        yield found
        assert [answer.result().status_code for answer in running] == [200] * count


def test_health_tells_version_and_latency(client: httpx.Client, connection: psycopg2.extensions.connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone() or ("",)
    health = client.get("/health/db").json()
    assert health["status"] == "ok"
    assert health["server_version"] == version
    assert 0 < health["latency_s"] < 2


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_healthy_process_says_ok(client: httpx.Client, path: str) -> None:
    assert client.get(path).json() == {"status": "ok"}


def test_pool_shows_what_is_checked_out(client: httpx.Client) -> None:
    before = client.get("/pool").json()
    assert before["size"] == Settings().pool_size
    with asleep(client, 2, lambda pool: pool["checked_out"] == 2) as pool:
        assert pool["waiting"] == pool["overflow"] == 0
    after = client.get("/pool").json()
    assert after["checked_out"] == 0
    assert after["idle"] <= after["size"]
    totals, old = after["totals"], before["totals"]
    assert totals["checkouts"] == old["checkouts"] + 2
    held = totals["hold_s_by_endpoint"]["sleep"] - old["hold_s_by_endpoint"].get("sleep", 0)
    assert 2.0 <= held < 3.0
    assert totals["wait_s_sum"] == pytest.approx(old["wait_s_sum"], abs=0.5)


def test_pool_totals_count_reads_that_need_no_connection_not(client: httpx.Client) -> None:
    before = client.get("/pool").json()["totals"]["checkouts"]
    for path in ("/plaintext", "/json", "/livez", "/pool", "/cpu?iterations=1", "/bytes?size=1", "/metrics"):
        assert client.get(path).status_code == 200
    assert client.get("/pool").json()["totals"]["checkouts"] == before
    assert client.get("/db").status_code == 200
    assert client.get("/pool").json()["totals"]["checkouts"] == before + 1


def test_pool_counts_waiters_and_their_time(start_service: ServiceFactory, edition: Edition) -> None:
    """SQLAlchemy has no event for the start of a wait: three requests on one connection show that we see it."""
    service = start_service(edition, POOL_SIZE="1", POOL_TIMEOUT="4")
    with httpx.Client(base_url=service.url, timeout=20, verify=NO_TLS) as client:
        assert client.get("/db").status_code == 200
        before = client.get("/pool").json()["totals"]
        with asleep(client, 3, lambda pool: pool["waiting"] == 2) as pool:
            assert (pool["size"], pool["checked_out"], pool["idle"], pool["overflow"]) == (1, 1, 0, 0)
        after = client.get("/pool").json()
        totals = after["totals"]
        assert after["waiting"] == 0
        assert totals["timeouts"] == 0
        # One waited for one sleep, the next for two.
        assert 2.0 < totals["wait_s_sum"] - before["wait_s_sum"] < 4.0
        histogram = totals["wait_s_histogram"]
        assert list(histogram.values()) == sorted(histogram.values())
        assert histogram["+Inf"] == totals["checkouts"]
        assert histogram["+Inf"] - histogram["0.5"] == 2
        metrics = samples(client.get("/metrics").text)
        assert metrics["pool_wait_seconds_total", ()] == pytest.approx(totals["wait_s_sum"])
        assert metrics["pool_connects_total", ()] == totals["connects"]
        assert metrics["pool_timeouts_total", ()] == 0


def test_pool_overflow_is_counted(start_service: ServiceFactory, edition: Edition) -> None:
    service = start_service(edition, POOL_SIZE="1", POOL_MAX_OVERFLOW="2")
    with httpx.Client(base_url=service.url, timeout=20, verify=NO_TLS) as client:
        with asleep(client, 3, lambda pool: pool["checked_out"] == 3) as pool:
            assert (pool["size"], pool["overflow"], pool["waiting"]) == (1, 2, 0)
        after = client.get("/pool").json()
        assert (after["checked_out"], after["idle"], after["overflow"]) == (0, 1, 0)


def test_metrics_count_each_answer_by_endpoint_and_status(client: httpx.Client) -> None:
    first = client.get("/metrics")
    assert first.headers["content-type"] == METRICS
    id = open_account(client)
    for target in (f"/accounts/{id}", "/accounts/4611686018427387904", "/accounts/0", "/nowhere", "/plaintext"):
        client.get(target)
    client.put("/plaintext")
    second = client.get("/metrics").text
    for endpoint, status, more in (
        ("create_account", 201, 1),
        ("read_account", 200, 1),
        ("read_account", 404, 1),
        ("read_account", 422, 1),
        ("(none)", 404, 1),
        ("(none)", 405, 1),
        ("plaintext", 200, 1),
    ):
        assert requests_of(second, endpoint, status) == requests_of(first.text, endpoint, status) + more, endpoint


def test_metrics_histogram_is_consistent(client: httpx.Client) -> None:
    for _ in range(5):
        client.get("/plaintext")
    found = samples(client.get("/metrics").text)
    labels = (("endpoint", "plaintext"), ("status", "200"))
    count = found["http_request_duration_seconds_count", labels]
    assert count >= 5
    buckets = {
        dict(names)["le"]: value
        for (name, names), value in found.items()
        if name == "http_request_duration_seconds_bucket" and set(labels) <= set(names)
    }
    assert buckets["+Inf"] == count
    ordered = [buckets[bound] for bound in sorted(buckets, key=float)]
    assert ordered == sorted(ordered)
    assert 0 < found["http_request_duration_seconds_sum", labels] < count


def plaintexts(service: Service, count: int) -> None:
    """Ask for /plaintext `count` times, each on a connection of its own, many at once."""

    def once(_: int) -> int:
        return httpx.get(service.url + "/plaintext", verify=NO_TLS).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(once, range(count))) == {200}


@pytest.mark.slow
def test_metrics_are_right_with_four_workers(start_service: ServiceFactory, edition: Edition, tmp_path: Path) -> None:
    """N requests over many connections are N on whichever worker is asked, and asking changes nothing."""
    count = 200
    service = start_service(
        edition,
        **{f"{edition.upper()}_WORKERS": "4", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
    )
    plaintexts(service, count)
    scrapes = [httpx.get(service.url + "/metrics", verify=NO_TLS).text for _ in range(12)]
    assert [requests_of(text, "plaintext", 200) for text in scrapes] == [count] * len(scrapes)
    # Each scrape has counted the ones before it: the workers add up each other's files.
    assert [requests_of(text, "metrics", 200) for text in scrapes] == list(range(len(scrapes)))
    # The service is ready with its first worker; the others may still be starting.
    eventually(lambda: len(list(tmp_path.glob("counter_*.db"))) == 4, 30)


def test_a_worker_that_has_only_just_made_its_file_fails_no_scrape(
    start_service: ServiceFactory, edition: Edition, tmp_path: Path
) -> None:
    """The file of a worker that starts, or was killed when it did, is empty: there is nothing to add up in it."""
    service = start_service(edition, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    plaintexts(service, 3)
    (tmp_path / "counter_1.db").touch()
    answer = httpx.get(service.url + "/metrics", verify=NO_TLS)
    assert answer.status_code == 200
    assert requests_of(answer.text, "plaintext", 200) == 3


@pytest.mark.slow
def test_workers_counts_stay_when_one_is_replaced(start_service: ServiceFactory, tmp_path: Path) -> None:
    """What a worker has counted outlives it: counters never go down."""
    service = start_service("wsgi", WSGI_WORKERS="2", PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    plaintexts(service, 40)
    files = len(list(tmp_path.glob("counter_*.db")))
    workers = [pid for pid in service.pids() if (tmp_path / f"counter_{pid}.db").exists()]
    os.kill(workers[0], signal.SIGKILL)
    deadline = monotonic() + 10
    while len(list(tmp_path.glob("counter_*.db"))) == files:
        assert monotonic() < deadline
    text = httpx.get(service.url + "/metrics", verify=NO_TLS).text
    assert requests_of(text, "plaintext", 200) == 40


def test_docs_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    answer = client.get("/docs")
    page = Page(answer.text)
    assert [reference for reference in page.references if not reference.startswith("data:")] == []
    urls = [url for style in page.texts["style"] for url in re.findall(r"url\(\s*[\"']?([^)\"']*)", style)]
    assert urls
    assert [url for url in urls if not url.startswith("data:")] == []
    assert not any("@import" in style for style in page.texts["style"])


def test_docs_configuration_stands_in_the_page(client: httpx.Client) -> None:
    """A link cannot make the page show, or talk to, another document."""
    answer = client.get("/docs")
    (start,) = [script for script in Page(answer.text).texts["script"] if "SwaggerUIBundle({" in script[:500]]
    assert re.findall(r"\burl: '([^']*)'", start) == ["openapi.json"]
    assert "validatorUrl: null" in start
    assert "queryConfigEnabled" not in start
    assert "configUrl" not in start
    assert "oauth" not in start.lower()
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert not any("http" in sources or "*" in sources for sources in policy.values())
    assert client.get("/docs?url=https://example.com/evil.json").content == answer.content


def test_blocking_exists_in_the_lab_only(start_service: ServiceFactory, edition: Edition) -> None:
    service = start_service(edition, LAB="0")
    with httpx.Client(base_url=service.url, verify=NO_TLS) as client:
        assert client.get("/blocking?seconds=0").status_code == 404
        assert client.options("/blocking").status_code == 404
        assert "/blocking" not in json.loads(client.get("/openapi.json").content)["paths"]
        assert "blocking" not in client.get("/openapi.json").text


def test_blocking_is_documented_in_the_lab(client: httpx.Client) -> None:
    assert "/blocking" in client.get("/openapi.json").json()["paths"]
