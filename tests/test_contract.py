"""What every entry of the contract promises, and the rules of the industry's common set."""

from collections.abc import Callable
from datetime import UTC
from datetime import datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import Any

import httpx
import psycopg2.extensions
import pytest
from pydantic import TypeAdapter

from shared import draws
from shared import schemas
from shared import seed
from shared.contract import CONTRACT
from shared.contract import JSON
from shared.contract import Endpoint
from shared.models import WORLD_ROWS
from tests.examples import example
from tests.examples import open_account

WORLDS = TypeAdapter(list[schemas.World])
SERVERS = {"wsgi": "gunicorn", "asgi": "uvicorn"}
QUERIES: dict[str, int] = {
    "": 1,
    "?queries=": 1,
    "?queries=1": 1,
    "?queries=20": 20,
    "?queries=%2B3": 3,
    "?queries=500": 500,
    "?queries=501": 500,
    "?queries=99999999999999999999999999": 500,
    "?queries=0": 1,
    "?queries=-1": 1,
    "?queries=-99999999999999999999999999": 1,
    "?queries=2.5": 1,
    "?queries=1e2": 1,
    "?queries=0x10": 1,
    "?queries=foo": 1,
    "?queries=%C2%B2": 1,
    "?queries=%EF%BC%95": 1,
    "?queries=1_0": 1,
    "?queries=%0A5": 1,
    "?queries=5&queries=2": 2,
    "?queries=2&queries=": 1,
    "?other=5": 1,
    "?QUERIES=5": 1,
}

every_entry = pytest.mark.parametrize("endpoint", CONTRACT, ids=lambda endpoint: endpoint.name)


class Table(HTMLParser):
    """The cells of an HTML table, and the tags that stand in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag."""
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        """Take text."""
        if self.cells and data.strip():
            self.cells[-1] += data


def assert_usual_headers(answer: httpx.Response, server: str) -> None:
    """Check what every answer carries."""
    assert answer.headers["server"].split("/")[0] == server
    assert abs((datetime.now(UTC) - parsedate_to_datetime(answer.headers["date"])).total_seconds()) < 3
    assert len(answer.headers.get_list("date")) == len(answer.headers.get_list("server")) == 1
    if answer.status_code == 204:
        assert "content-length" not in answer.headers
        assert "transfer-encoding" not in answer.headers
        return
    assert answer.headers["content-type"]
    has_length = "content-length" in answer.headers
    if answer.request.method == "HEAD" and not has_length:
        # Nothing follows, so nothing has to be framed.
        return
    assert has_length != (answer.headers.get("transfer-encoding") == "chunked")
    if has_length and answer.request.method != "HEAD":
        assert int(answer.headers["content-length"]) == len(answer.content)


def assert_right_shape(endpoint: Endpoint, answer: httpx.Response) -> None:
    """Check a body against the contract's own type."""
    if endpoint.answer is None:
        assert answer.content == b""
    elif endpoint.content_type == JSON and endpoint.render is None:
        TypeAdapter(endpoint.answer).validate_json(answer.content, strict=True)
    elif endpoint.content_type == JSON:
        assert isinstance(answer.json(), dict)
    else:
        assert answer.content


@every_entry
def test_entry_answers_as_promised(client: httpx.Client, edition: str, endpoint: Endpoint) -> None:
    request = example(endpoint.name, open_account(client))
    assert request.method == endpoint.method
    answer = request.send(client)
    assert answer.status_code == endpoint.status, answer.text
    assert_usual_headers(answer, SERVERS[edition])
    if endpoint.content_type and endpoint.answer is not None:
        assert answer.headers["content-type"] == endpoint.content_type
    for name, value in endpoint.headers:
        assert answer.headers[name] == value
    if endpoint.location:
        assert answer.headers["location"] == endpoint.location.format(id=answer.json()["id"])
    assert_right_shape(endpoint, answer)
    if endpoint.measured - {"*"}:
        assert endpoint.measured <= set(answer.json())


@pytest.mark.parametrize(
    "endpoint", [entry for entry in CONTRACT if entry.method == "GET"], ids=lambda endpoint: endpoint.name
)
def test_head_is_get_without_the_body(client: httpx.Client, edition: str, endpoint: Endpoint) -> None:
    request = example(endpoint.name, 1)
    got = request.send(client)
    head = client.head(request.target)
    assert head.status_code == got.status_code
    assert head.content == b""
    assert_usual_headers(head, SERVERS[edition])
    # Measurements may have another length each time.
    varying = {"date", "transfer-encoding"} | (
        {"content-length"} if endpoint.measured or "random" in endpoint.summary else set()
    )
    assert {name: value for name, value in head.headers.items() if name not in varying} == {
        name: value for name, value in got.headers.items() if name not in varying
    }


@pytest.mark.parametrize("path", sorted({entry.path for entry in CONTRACT}))
def test_options_names_the_methods(client: httpx.Client, edition: str, path: str) -> None:
    answer = client.options(path.replace("{id}", "1"))
    methods = {entry.method for entry in CONTRACT if entry.path == path}
    expected = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    assert answer.status_code == 204
    assert set(answer.headers["allow"].split(", ")) == expected
    assert_usual_headers(answer, SERVERS[edition])


def test_plaintext_and_json_are_the_benchmarks_bytes(client: httpx.Client) -> None:
    assert client.get("/plaintext").content == b"Hello, World!"
    assert client.get("/json").content == b'{"message":"Hello, World!"}'


def test_connections_are_kept_alive(client: httpx.Client) -> None:
    for _ in range(3):
        with client.stream("GET", "/plaintext") as answer:
            answer.read()
            stream = answer.extensions["network_stream"]
        first = stream.get_extra_info("client_addr")
        assert first == client.get("/json").extensions["network_stream"].get_extra_info("client_addr")


@pytest.mark.parametrize(("draw", "most"), [(draws.ids, 500), (draws.numbers, 500), (draws.distinct_ids, 500)])
def test_draws_reach_both_ends_and_nothing_beyond(draw: Callable[[None, int], list[int]], most: int) -> None:
    """500,000 draws leave either end out with a probability of 2e-22, and each half is drawn as often."""
    found = [value for _ in range(1_000) for value in draw(None, most)]
    assert min(found) == 1
    assert max(found) == WORLD_ROWS
    assert len(set(found)) == WORLD_ROWS
    assert sum(found) / len(found) == pytest.approx((WORLD_ROWS + 1) / 2, rel=0.01)


def test_distinct_draws_are_distinct_and_ascending() -> None:
    for count in (1, 2, 500):
        found = draws.distinct_ids(None, count)
        assert len(found) == count
        assert found == sorted(set(found))


def test_seeded_draws_follow_from_the_seed_alone() -> None:
    for draw in (draws.ids, draws.numbers, draws.distinct_ids):
        assert draw(5, 20) == draw(5, 20)
        assert draw(5, 20) != draw(6, 20)
    assert draws.ids(5, 20) != draws.numbers(5, 20)
    assert draws.now(5) == draws.now(5)


def numbers_in(connection: psycopg2.extensions.connection) -> dict[int, int]:
    """Return the table `world` as it is now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, randomnumber FROM world")
        return dict(cursor.fetchall())


def test_db_reads_what_the_database_holds(client: httpx.Client, connection: psycopg2.extensions.connection) -> None:
    rows = [client.get("/db").json() for _ in range(30)]
    assert len({row["id"] for row in rows}) > 20
    numbers = numbers_in(connection)
    assert all(numbers[row["id"]] == row["randomNumber"] for row in rows)


@pytest.mark.parametrize(("query", "count"), QUERIES.items())
@pytest.mark.parametrize("path", ["/queries", "/updates"])
def test_queries_are_clamped(client: httpx.Client, path: str, query: str, count: int) -> None:
    answer = client.get(path + query)
    assert answer.status_code == 200
    assert len(WORLDS.validate_json(answer.content, strict=True)) == count


def test_queries_reads_random_rows(client: httpx.Client, connection: psycopg2.extensions.connection) -> None:
    rows = client.get("/queries?queries=500").json()
    # 500 draws of 10,000 have about 12 repetitions.
    assert 450 < len({row["id"] for row in rows}) <= 500
    assert rows != sorted(rows, key=lambda row: row["id"])
    numbers = numbers_in(connection)
    assert all(numbers[row["id"]] == row["randomNumber"] for row in rows)


@pytest.mark.parametrize("count", [1, 20, 500])
def test_updates_writes_what_it_answers(
    client: httpx.Client, connection: psycopg2.extensions.connection, count: int
) -> None:
    before = numbers_in(connection)
    rows = client.get(f"/updates?queries={count}").json()
    after = numbers_in(connection)
    written = {row["id"]: row["randomNumber"] for row in rows}
    assert len(written) == len(rows) == count
    assert all(1 <= number <= WORLD_ROWS for number in written.values())
    assert after == before | written
    if count > 1:
        assert after != before


def test_fortunes_is_a_sorted_and_escaped_table(client: httpx.Client) -> None:
    answer = client.get("/fortunes")
    page = answer.content.decode("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    table = Table(page)
    assert table.tags == {"html", "head", "title", "body", "table", "tr", "th", "td"}
    assert table.cells[:2] == ["id", "message"]
    rows = [(int(id), message.strip()) for id, message in zip(table.cells[2::2], table.cells[3::2], strict=True)]
    expected = {0: "Additional fortune added at request time.", **dict(enumerate(seed.FORTUNES, start=1))}
    assert len(rows) == 13
    assert dict(rows) == expected
    messages = [message for _, message in rows]
    # Python compares text by code points.
    assert messages == sorted(messages)
    assert "&lt;script&gt;" in page
    assert "フレームワークのベンチマーク" in page


def test_fortunes_are_read_at_each_request(client: httpx.Client, connection: psycopg2.extensions.connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO fortune (id, message) VALUES (13, %s)", ("<b>&\"'</b>",))
        try:
            table = Table(client.get("/fortunes").text)
        finally:
            cursor.execute("DELETE FROM fortune WHERE id = 13")
    assert "b" not in table.tags
    assert table.cells[table.cells.index("13") + 1].strip() == "<b>&\"'</b>"
    assert len(Table(client.get("/fortunes").text).cells) == 2 * 14


def test_seed_is_honoured_with_the_token_only(client: httpx.Client) -> None:
    """Nobody but the holder of CHECK_TOKEN chooses random numbers."""

    def rows(**headers: str) -> Any:
        named = {"X-Check-" + name.title(): value for name, value in headers.items()}
        return client.get("/queries?queries=20", headers=named).json()

    token = "token-of-the-tests"
    assert rows(seed="1", token=token) == rows(seed="1", token=token)
    assert rows(seed="1", token=token) != rows(seed="2", token=token)
    assert rows(seed="1", token="another") != rows(seed="1", token=token)
    assert rows(seed="1") != rows(seed="1")
    assert rows(seed="x", token=token) != rows(seed="x", token=token)
