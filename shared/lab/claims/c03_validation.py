"""C3: requests and responses are validated automatically."""

import json
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel

from shared.contract import Endpoint
from shared.contract import endpoints
from shared.errors import EnvironmentFailure
from shared.lab.claims import client
from shared.lab.claims import shapes
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.bench import Watched
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Subject
from shared.lab.services.process import Service

CONTROL = "shared.lab.controls.misshapen"
MISSHAPE = "X-Misshape"
# Whose transaction is looked after when its result was wrong.
CREATES = "create_account"
# A chunk is bytes: it has no members to be wrong.
STREAM_BENDS = ("another type", "nothing")
# Traces have to be there to be read, so that tracing is on; nothing is traced.
SETTINGS = {"TRACE": "1"}
NEW_ACCOUNT = json.dumps(shapes.BODIES["create_account"]).encode()


def measure(bench: Bench, options: Options) -> Finding:
    """Send both editions what is not valid, and have their handlers answer what is not."""
    entries = endpoints(lab=True, trace=True)
    measured: dict[Subject, Figures] = {}
    for edition in EDITIONS:
        bench.progress(f"C3: {edition}, bad requests to {len(entries)} entries, then bad results of them")
        with bench.watched(edition, control=CONTROL, **SETTINGS) as watched:
            figures = [
                *_bad_requests(watched, entries),
                *_right_requests(watched, entries),
                *_bad_results(watched.service, entries),
            ]
        measured[edition] = Figures(tuple(figures))
    without = [entry.name for entry in entries if not any(True for _ in shapes.bad(entry))]
    note = f"Nothing can be wrong with the parameters of {', '.join(without)}: they read none, or any bytes there are."
    return Finding(measured, notes=(note,))


def _bad_requests(watched: Watched, entries: Sequence[Endpoint]) -> list[Figure]:
    """Send every request that is not valid; nobody else has used the service until then."""
    bad = [each for entry in entries for each in shapes.bad(entry)]
    answers = [client.ask(watched.service, each.ask) for each in bad]
    events = watched.events()
    kept = [answer.status in each.statuses for each, answer in zip(bad, answers, strict=True)]
    named = [_names(answer.body, each.place) for each, answer in zip(bad, answers, strict=True) if each.place]
    wrong = sorted({f"{each.entry}, {each.what}" for each, is_kept in zip(bad, kept, strict=True) if not is_kept})
    return [
        Figure("bad_requests", "requests that are not valid", len(bad)),
        Figure("bad_entries", "contract entries that they went to", len({each.entry for each in bad})),
        Figure("refused", "of them refused with the promised 422, 400 or 415", sum(kept), trials=len(bad)),
        Figure("not_refused", "the others", "; ".join(wrong) or "none", trials=len(bad)),
        Figure("refused_422", "of them refused with 422", sum(answer.status == 422 for answer in answers)),
        Figure("placed", "refusals that say where the fault is", sum(named), trials=len(named)),
        Figure(
            "early_connects",
            "connections opened by then",
            sum(event.kind == "connect" for event in events),
            trials=len(bad),
        ),
        Figure(
            "early_checkouts",
            "connections handed out by then",
            sum(event.kind == "checkout" for event in events),
            trials=len(bad),
        ),
    ]


def _names(body: bytes, place: str) -> bool:
    """Tell whether a problem document says in which part of the request something is wrong."""
    found = json.loads(body)
    return any(error["loc"][0] == place for error in found.get("errors") or ())


def _right_requests(watched: Watched, entries: Sequence[Endpoint]) -> list[Figure]:
    """Send one valid request to every entry that needs a session: the log must show a checkout for each."""
    wanting = [entry for entry in entries if entry.needs == "session"]
    for entry in wanting:
        client.ask(watched.service, shapes.right(entry))
    seen = {event.request for event in watched.events() if event.kind == "checkout"}
    found = sum(entry.name in seen for entry in wanting)
    return [
        Figure("session_entries", "entries that need a session, each sent one valid request", len(wanting)),
        Figure("session_checkouts", "of them seen to have a connection handed out", found, trials=len(wanting)),
    ]


def _bad_results(service: Service, entries: Sequence[Endpoint]) -> list[Figure]:
    """Have every handler answer in each wrong shape, and sort what the client got."""
    checked: list[int] = []
    unchecked: list[int] = []
    streamed: list[int] = []
    through: list[str] = []
    usual = 0
    rows: list[bool] = []
    # What is there only while tracing has something to show has no right answer here that could be made wrong.
    able = [entry for entry in entries if entry.name != "read_trace"]
    for entry in able:
        usual += 200 <= _status(service, _working(service, entry)) < 300
        first = _opened(service) if entry.name == CREATES else 0
        for name in STREAM_BENDS if entry.streams else shapes.BENDS:
            if name == shapes.UNCHECKED and not _is_model(entry):
                continue
            status = _status(service, _working(service, entry), name)
            into = unchecked if name == shapes.UNCHECKED else streamed if entry.streams else checked
            into.append(status)
            if 200 <= status < 300 and name != shapes.UNCHECKED:
                through.append(f"{entry.name}, {name}")
        if first:
            between = range(first + 1, _opened(service))
            rows = [client.ask(service, f"/accounts/{id}").status == 200 for id in between]
    return [
        Figure("bent_entries", "entries whose handlers answered in wrong shapes", len(able)),
        Figure("usual", "of them answering 2xx when their result is left alone", usual, trials=len(able)),
        Figure("bent", "results of a wrong shape, sent whole", len(checked)),
        Figure("bent_500", "of them answered with 500", checked.count(500), trials=len(checked)),
        Figure("bent_2xx", "of them answered with 2xx", _successes(checked), trials=len(checked)),
        Figure("unchecked", "models with a wrong member, made by model_construct", len(unchecked)),
        Figure("unchecked_2xx", "of them answered with 2xx", _successes(unchecked), trials=len(unchecked)),
        Figure("streamed", "chunks of a stream that are no bytes", len(streamed)),
        Figure("streamed_2xx", "of them ending in a whole 2xx", _successes(streamed), trials=len(streamed)),
        Figure("through", "what else went out as a 2xx", "; ".join(through) or "none"),
        Figure("rows", f"accounts for which {CREATES} had a wrong result", len(rows)),
        Figure("rows_kept", "of them in the database all the same", sum(rows), trials=len(rows)),
    ]


def _opened(service: Service) -> int:
    """Open an account and return its id."""
    answer = client.ask(service, client.Ask("/accounts", "", "POST", NEW_ACCOUNT, shapes.JSON_TYPE))
    if answer.status != 201:
        raise EnvironmentFailure("An account cannot be opened", why=f"POST /accounts answers {answer.status}")
    return int(json.loads(answer.body)["id"])


def _working(service: Service, entry: Endpoint) -> client.Ask:
    """Return a request that succeeds; the accounts that it works on are opened for it."""
    found = shapes.right(entry)
    body = dict(shapes.BODIES.get(entry.name, {}))
    if entry.name == "create_transfer":
        body.update(source_id=_opened(service), target_id=_opened(service))
    if entry.name == "change_account":
        body.update(version=1)
    target = entry.path.replace("{id}", str(_opened(service))) if "{id}" in entry.path else found.target
    return replace(found, target=target, body=json.dumps(body).encode() if body else found.body)


def _status(service: Service, request: client.Ask, bend: str = "") -> int:
    """Return the status of a whole answer; 0 where it breaks off."""
    named = {**request.headers, MISSHAPE: bend} if bend else request.headers
    try:
        return client.ask(service, replace(request, headers=named)).status
    except EnvironmentFailure:
        return 0


def _is_model(entry: Endpoint) -> bool:
    return isinstance(entry.answer, type) and issubclass(entry.answer, BaseModel)


def _successes(statuses: Sequence[int]) -> int:
    return sum(200 <= status < 300 for status in statuses)


def rule(figures: Figures) -> Ruling:
    """Judge refusals, checkouts before them, and what became of wrong results."""
    number = figures.number
    bad, refused, bent = number("bad_requests"), number("refused"), number("bent")
    early = number("early_connects") + number("early_checkouts")
    said = (
        f"{refused:g} of {bad:g} bad requests refused, {early:g} connections touched for them; "
        f"{number('bent_500'):g} of {bent:g} wrong results a 500"
    )
    if refused < bad or early or number("bent_2xx"):
        return Ruling("refuted", said)
    if not bad or number("session_checkouts") < number("session_entries"):
        return Ruling("undecided", "connections handed out for valid requests were not all seen either")
    if not bent or number("usual") < number("bent_entries") or number("bent_500") < bent:
        return Ruling("undecided", f"not every handler could be made to answer right and wrong; {said}")
    conditions = []
    if number("unchecked_2xx"):
        conditions.append(
            f"on how a result was made: {number('unchecked_2xx'):g} of {number('unchecked'):g} models that "
            "model_construct made past validation were sent as they were"
        )
    if number("streamed_2xx"):
        conditions.append(
            f"on whether it is streamed: {number('streamed_2xx'):g} of {number('streamed'):g} wrong chunks ended in a "
            "whole 2xx"
        )
    if conditions:
        return Ruling("depends", f"{said}; it depends {' and '.join(conditions)}")
    return Ruling("confirmed", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        number = figures.number
        parts.append(
            f"{edition}: {number('refused'):g} of {number('bad_requests'):g} bad requests to "
            f"{number('bad_entries'):g} entries refused as promised, {number('refused_422'):g} of them with 422 and "
            f"{number('placed'):g} saying where the fault is; {number('early_checkouts'):g} connections handed out by "
            f"then, and {number('session_checkouts'):g} of {number('session_entries'):g} for the valid requests after "
            f"it. Of {number('bent'):g} whole results of a wrong shape {number('bent_500'):g} became a 500 and "
            f"{number('bent_2xx'):g} a 2xx; of {number('unchecked'):g} models made by model_construct "
            f"{number('unchecked_2xx'):g} went out, of {number('streamed'):g} wrong chunks "
            f"{number('streamed_2xx'):g} ended in a 2xx; beside these models went out: {figures.text('through')}. Of "
            f"{number('rows'):g} accounts that {CREATES} opened with a wrong result {number('rows_kept'):g} are there."
        )
    return (
        f"{' '.join(parts)} Neither server nor interface validates anything: both editions check a request against the "
        "contract's pydantic models before they open a session, and a whole result before it is rendered, which is "
        "after its transaction. By pydantic's documentation model_construct makes a model without validation, and "
        "revalidate_instances is 'never' unless it is set, so that an instance of the right class is taken as it is; "
        "both editions set it to 'always' for what they answer."
    )


CLAIM = Claim(
    number=3,
    statement="Requests and responses are validated automatically.",
    prediction=(
        "Every bad parameter of every contract entry is a 422 (of a body 400, 415 or 422), before a connection is "
        "asked for; a handler that returns a wrong shape is a 500 and never a wrong answer."
    ),
    method=(
        "An edition is started whose pool writes down what it does and whose handlers bend their result where a "
        "request asks for it. First, before anything else: for every parameter in path, query and header a text of "
        "another type and one out of bounds, a missing one, too many fields; for every member of a JSON body null, "
        "another type and its absence; a member too many, an array, no JSON, another content type. Then one valid "
        "request to every entry that needs a session, whose checkout the log must show. Then each handler's own "
        "result as another type, as nothing, with a member missing, with a member of another type, and as the right "
        "model made past validation."
    ),
    rule_words=(
        "Refuted if a bad request is not refused as promised, a connection is opened or handed out for one, or a whole "
        "result of a wrong shape is answered with 2xx. Undecided if valid requests' checkouts are not seen, a handler "
        "cannot answer right, or a wrong result ends in anything else than 500. Depends if models made past validation "
        "or wrong chunks of a stream go out as a 2xx; confirmed otherwise."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=12,
    sources=(
        Source(
            "pydantic: Models, creating models without validation",
            "https://pydantic.dev/docs/validation/latest/concepts/models/",
        ),
        Source(
            "pydantic: Configuration, revalidate_instances",
            "https://pydantic.dev/docs/validation/latest/api/pydantic/config/",
        ),
    ),
)
