"""The OpenAPI document is valid, whole, equal in both editions, and what the services really do."""

import json
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance
from schemathesis.specs.openapi.checks import response_headers_conformance
from schemathesis.specs.openapi.checks import response_schema_conformance
from schemathesis.specs.openapi.checks import status_code_conformance

from shared import openapi
from shared.config import Edition
from shared.contract import CONTRACT
from shared.contract import Endpoint
from shared.contract import endpoints
from shared.lab.services.process import Service

EXAMPLES = 15
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Most that a generated request may ask for; more is right, but slow.
MODEST = {"iterations": 5_000, "seconds": 0.01, "rows": 2_000, "size": 100_000}


@pytest.fixture(scope="module")
def document(services: dict[Edition, Service]) -> Any:
    """Return the document as a service answers it."""
    return httpx.get(services["wsgi"].url + "/openapi.json").json()


def test_document_is_valid_openapi_3_1(client: httpx.Client) -> None:
    answer = client.get("/openapi.json")
    assert answer.json()["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(answer.json()).iter_errors()) == []


@pytest.mark.parametrize("is_tracing", [True, False])
@pytest.mark.parametrize("is_lab", [True, False])
def test_document_covers_every_entry_and_nothing_else(is_lab: bool, is_tracing: bool) -> None:
    described = {
        (path, method.upper(), operation["operationId"])
        for path, operations in json.loads(openapi.document(lab=is_lab, trace=is_tracing))["paths"].items()
        for method, operation in operations.items()
    }
    assert described == {(entry.path, entry.method, entry.name) for entry in endpoints(lab=is_lab, trace=is_tracing)}


def test_document_is_the_same_in_both_editions(services: dict[Edition, Service]) -> None:
    wsgi, asgi = (httpx.get(services[edition].url + "/openapi.json").content for edition in ("wsgi", "asgi"))
    assert wsgi == asgi == openapi.document(lab=True, trace=True).encode()


@pytest.mark.parametrize("endpoint", CONTRACT, ids=lambda endpoint: endpoint.name)
def test_document_describes_an_entry_as_the_contract_does(document: Any, endpoint: Endpoint) -> None:
    operation = document["paths"][endpoint.path][endpoint.method.lower()]
    assert operation["summary"] == endpoint.summary
    assert str(endpoint.status) in operation["responses"]
    for problem in endpoint.raises:
        response = operation["responses"][str(int(problem.status))]
        assert problem.slug in response["description"]
        assert list(response["content"]) == ["application/problem+json"]
    assert ("requestBody" in operation) == (endpoint.body != "none")


def test_document_has_no_schema_that_nothing_refers_to(document: Any) -> None:
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text


def test_document_tells_nobody_of_the_checks_seed(document: Any) -> None:
    assert "seed" not in json.dumps(document).lower()
    assert "X-Check" not in json.dumps(document)


@lru_cache(maxsize=1)
def generator() -> Any:
    """Return schemathesis' view of the document, with limits that keep its requests quick."""
    modest = json.loads(openapi.document(lab=True, trace=True))
    for operations in modest["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in MODEST:
                    parameter["schema"]["maximum"] = MODEST[parameter["name"]]
    return schemathesis.openapi.from_dict(modest)


def is_quick(case: Any) -> bool:
    """Tell whether a generated request, a wrong one included, will not keep a service busy."""
    for name, most in MODEST.items():
        try:
            value = float((case.query or {}).get(name, 0))
        except (TypeError, ValueError):
            continue
        if value > most:
            return False
    return True


def modes(endpoint: Endpoint) -> list[GenerationMode]:
    """Return which requests can be made up; without any input there is nothing to get wrong."""
    has_input = "parameters" in json.dumps(_operation(endpoint)) or "requestBody" in _operation(endpoint)
    return [GenerationMode.POSITIVE, GenerationMode.NEGATIVE] if has_input else [GenerationMode.POSITIVE]


def _operation(endpoint: Endpoint) -> Any:
    return json.loads(openapi.document(lab=True, trace=True))["paths"][endpoint.path][endpoint.method.lower()]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Return a client for schemathesis that keeps its connections."""
    with requests.Session() as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", CONTRACT, ids=lambda endpoint: endpoint.name)
def test_service_does_what_its_document_says(
    services: dict[Edition, Service], session: requests.Session, edition: Edition, endpoint: Endpoint
) -> None:
    """Requests made up from the document, right and wrong ones, get answers that the document describes."""
    operation = generator()[endpoint.path][endpoint.method]
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes(endpoint)]).filter(is_quick)
    count = EXAMPLES * len(modes(endpoint)) if len(modes(endpoint)) > 1 else 2

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def answers_are_described(case: Any) -> None:
        response = case.call(base_url=services[edition].url, session=session, timeout=20)
        case.validate_response(response, checks=CHECKS)

    with warnings.catch_warnings():
        # The tools' own business: schemathesis on hypothesis, requests on bodies it cannot encode.
        warnings.simplefilter("ignore")
        answers_are_described()
