"""Claims about validation and documentation: each rule fed with doctored figures, each experiment run."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic import TypeAdapter
from pydantic import ValidationError

from shared import openapi
from shared import schemas
from shared.contract import CONTRACT
from shared.contract import Endpoint
from shared.lab.claims import c02_documentation as c02
from shared.lab.claims import c03_validation as c03
from shared.lab.claims import shapes
from shared.lab.claims.bench import Bench
from shared.lab.claims.openapi31 import errors_of
from shared.schemas import In
from tests.claim_records import doctored
from tests.claim_records import made

VALIDATED = made(
    bad_requests=97, refused=97, early_connects=0, early_checkouts=0, session_entries=13, session_checkouts=13,
    bent_entries=31, usual=31, bent=108, bent_500=108, bent_2xx=0, unchecked=16, unchecked_2xx=0, streamed=4,
    streamed_2xx=0,
)  # fmt: skip


def test_validation_is_confirmed_by_refusals_before_any_checkout_and_no_wrong_answer() -> None:
    assert c03.rule(VALIDATED).verdict == "confirmed"


@pytest.mark.parametrize(
    "changed", [{"refused": 96}, {"early_connects": 1}, {"early_checkouts": 1}, {"bent_2xx": 1, "bent_500": 107}]
)
def test_validation_is_refuted_by_what_gets_through(changed: dict[str, int]) -> None:
    assert c03.rule(doctored(VALIDATED, **changed)).verdict == "refuted"


@pytest.mark.parametrize(
    "changed",
    [{"session_checkouts": 12}, {"usual": 30}, {"bent_500": 107}, {"bad_requests": 0, "refused": 0}, {"bent": 0}],
)
def test_validation_that_was_not_tried_is_undecided(changed: dict[str, int]) -> None:
    assert c03.rule(doctored(VALIDATED, **changed)).verdict == "undecided"


@pytest.mark.parametrize(
    ("name", "condition"), [("unchecked_2xx", "how a result was made"), ("streamed_2xx", "streamed")]
)
def test_validation_depends_on_what_is_not_looked_at(name: str, condition: str) -> None:
    ruling = c03.rule(doctored(VALIDATED, **{name: 1}))
    assert ruling.verdict == "depends"
    assert condition in ruling.because


def _reads(endpoint: Endpoint) -> set[str]:
    """Return what of an entry's parameters a client can get wrong."""
    if not issubclass(endpoint.parameters, BaseModel):
        return set()
    fields = endpoint.parameters.model_fields.items()
    places = {In.PATH, In.QUERY, In.BODY}
    return {name for name, field in fields if places & set(field.metadata) and name != "queries"}


@pytest.mark.parametrize("endpoint", CONTRACT, ids=lambda endpoint: endpoint.name)
def test_every_parameter_of_the_contract_is_got_wrong(endpoint: Endpoint) -> None:
    bad = list(shapes.bad(endpoint))
    if _reads(endpoint):
        assert bad
    for name in _reads(endpoint) - {"body"}:
        assert any(each.what.startswith((name, f"no {name}")) for each in bad), name
    if endpoint.body == "json":
        model: Any = endpoint.parameters.model_fields["body"].annotation
        assert set(shapes.BODIES[endpoint.name]) == set(model.model_fields)
        assert model.model_validate(shapes.BODIES[endpoint.name])
    assert len({each.what for each in bad}) == len(bad)


@pytest.mark.parametrize("name", [name for name in shapes.BENDS if name != shapes.UNCHECKED])
@pytest.mark.parametrize(
    ("kind", "right"),
    [
        (schemas.Message, schemas.Message(message="x")),
        (schemas.World, {"id": 1, "randomNumber": 2}),
        (list[schemas.World], [{"id": 1, "randomNumber": 2}]),
        (str, "x"),
        (None, None),
    ],
)
def test_bent_results_are_wrong(name: str, kind: Any, right: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    assert adapter.validate_python(shapes.bent(right, ""), strict=True) == right
    with pytest.raises(ValidationError):
        adapter.validate_python(shapes.bent(right, name), strict=True)


def test_unchecked_model_is_one_that_would_not_be_made() -> None:
    found = shapes.bent(schemas.Waited(seconds=1.0), shapes.UNCHECKED)
    assert isinstance(found, schemas.Waited)
    with pytest.raises(ValidationError):
        schemas.Waited(**found.__dict__)


@pytest.mark.slow
def test_both_editions_validate_what_comes_and_what_goes(bench: Bench) -> None:
    finding = c03.measure(bench, {})
    assert set(finding.measured) == {"wsgi", "asgi"}
    for figures in finding.measured.values():
        assert c03.rule(figures).verdict == "confirmed", figures
        assert figures.number("unchecked") > 0
        assert figures.number("streamed") > 0
        assert figures.number("placed") == figures["placed"].trials
        assert figures.text("not_refused") == "none"
    assert c03.CLAIM.explain(finding)


DOCUMENTED = made(
    version="3.1.0", errors=0, entries=29, described=29, others=0, page_status=200, page_html=True, page_reads=True,
    page_elsewhere=0, added=4, added_before=0, added_described=4,
)  # fmt: skip


def test_documentation_is_confirmed_by_a_whole_and_valid_document_that_is_shown() -> None:
    assert c02.rule(DOCUMENTED).verdict == "confirmed"


@pytest.mark.parametrize(
    "changed",
    [
        {"version": "3.0.3"}, {"errors": 1}, {"described": 28}, {"others": 1}, {"page_status": 404},
        {"page_html": False}, {"page_reads": False}, {"page_elsewhere": 1}, {"added_described": 3},
    ],
)  # fmt: skip
def test_documentation_is_refuted_by_any_fault(changed: dict[str, Any]) -> None:
    assert c02.rule(doctored(DOCUMENTED, **changed)).verdict == "refuted"


@pytest.mark.parametrize(
    "changed", [{"added": 0, "added_described": 0}, {"added_before": 1}, {"entries": 0, "described": 0}]
)
def test_documentation_of_nothing_new_is_undecided(changed: dict[str, int]) -> None:
    assert c02.rule(doctored(DOCUMENTED, **changed)).verdict == "undecided"


def _with(change: Callable[[Any], object]) -> Any:
    document = copy.deepcopy(json.loads(openapi.document(lab=True, trace=True)))
    change(document)
    return document


ACCOUNT = "/accounts/{id}"
FAULTS: dict[str, Callable[[Any], object]] = {
    "version": lambda found: found.update(openapi="3.0.3"),
    "no title": lambda found: found["info"].pop("title"),
    "unknown member": lambda found: found.update(path={}),
    "no slash": lambda found: found["paths"].update({"x": found["paths"]["/json"]}),
    "no responses": lambda found: found["paths"]["/json"]["get"].update(responses={}),
    "no description": lambda found: found["paths"]["/json"]["get"]["responses"]["200"].pop("description"),
    "status": lambda found: found["paths"]["/json"]["get"]["responses"].update({"2000": {"description": ""}}),
    "name twice": lambda found: found["paths"]["/json"]["get"].update(operationId="db"),
    "path parameter missing": lambda found: found["paths"][ACCOUNT]["get"].update(parameters=[]),
    "path parameter optional": lambda found: found["paths"][ACCOUNT]["get"]["parameters"][0].update(required=False),
    "parameter twice": lambda found: found["paths"]["/wait"]["get"]["parameters"].append(
        found["paths"]["/wait"]["get"]["parameters"][0]
    ),
    "place": lambda found: found["paths"]["/wait"]["get"]["parameters"][0].update({"in": "body"}),
    "reference": lambda found: found["components"]["schemas"].pop("Account"),
    "type": lambda found: found["components"]["schemas"]["Account"].update(type="record"),
    "required": lambda found: found["components"]["schemas"]["Account"].update(required="id"),
    "bound": lambda found: found["components"]["schemas"]["Account"]["properties"]["id"].update(minimum="1"),
    "schema": lambda found: found["components"]["schemas"]["Account"]["properties"].update(id=5),
}


def test_our_document_has_no_fault_by_either_check() -> None:
    document = _with(lambda found: None)
    assert errors_of(document) == []
    assert c02._is_valid(document)


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_a_document_are_found(name: str) -> None:
    assert errors_of(_with(FAULTS[name]))


def test_public_validator_is_asked() -> None:
    assert not c02._is_valid(_with(FAULTS["no title"]))


@pytest.mark.slow
def test_both_editions_document_themselves(bench: Bench) -> None:
    finding = c02.measure(bench, {})
    assert set(finding.measured) == {"wsgi", "asgi"}
    for figures in finding.measured.values():
        assert c02.rule(figures).verdict == "confirmed", figures
        assert "openapi_spec_validator" in figures.text("checked_by")
        assert figures.number("bare_docs") == figures.number("bare_document") == 404
    assert finding.notes == ()
    assert c02.CLAIM.explain(finding)
