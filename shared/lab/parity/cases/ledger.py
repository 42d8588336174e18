"""The ledger's refusals, and requests that are told apart from their first time."""

from shared.lab.parity.case import SEED
from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.case import Limits
from shared.lab.parity.case import Skipped
from shared.lab.parity.case import Step
from shared.lab.parity.case import json_request
from shared.lab.parity.cases.success import ENTRY
from shared.lab.parity.cases.success import open_account
from shared.lab.parity.cases.success import transfer
from shared.lab.parity.message import Request

GROUP = "ledger"
KEY = ("Idempotency-Key", "<<key>>")
NOBODY = 2**62


def add(limits: Limits, skipped: list[Skipped]) -> list[Case]:
    """Return the group."""
    found = CaseList(GROUP)
    _accounts(found)
    _transfers(found)
    _repeated(found)
    _pages(found)
    return found.cases


def _accounts(found: CaseList) -> None:
    change = json_request("PATCH", "/accounts/<<account>>", b'{"owner":"renamed","version":1}')
    found.add(
        "stale version",
        open_account("account"),
        Step(change, expects=200),
        change,
        entry=ENTRY["change_account"],
        expects=409,
        is_common=True,
    )
    deposit = json_request("POST", "/accounts/<<account>>/deposits", b'{"amount":1,"strategy":"atomic"}')
    found.add(
        "version after a deposit",
        open_account("account"),
        Step(deposit, expects=200),
        change,
        entry=ENTRY["change_account"],
        expects=409,
    )
    two = (open_account("source"), open_account("target"))
    moved = Step(transfer("source", "target", 1), expects=201, saves="transfer")
    for name in ("source", "target"):
        found.add(
            f"delete the {name} of a transfer",
            *two,
            moved,
            Request("DELETE", f"/accounts/<<{name}>>"),
            entry=ENTRY["delete_account"],
            expects=409,
            is_common=name == "source",
        )
    delete = Request("DELETE", "/accounts/<<account>>")
    found.add(
        "delete twice",
        open_account("account"),
        Step(delete, expects=204),
        delete,
        entry=ENTRY["delete_account"],
        expects=404,
    )
    found.add(
        "delete with a body",
        open_account("account"),
        Request("DELETE", "/accounts/<<account>>", (), b"x" * 10),
        entry=ENTRY["delete_account"],
        expects=204,
    )
    for strategy in ("naive", "atomic", "locked", "versioned", "serializable"):
        body = f'{{"amount":1,"strategy":"{strategy}"}}'.encode()
        found.add(
            f"{strategy} deposit, unknown account",
            json_request("POST", f"/accounts/{NOBODY}/deposits", body),
            entry=ENTRY["deposit"],
            expects=404,
            is_common=strategy == "naive",
        )
        most = f'{{"amount":1000000000000,"strategy":"{strategy}"}}'.encode()
        request = json_request("POST", "/accounts/<<account>>/deposits", most)
        found.add(
            f"{strategy} deposit of the most, twice",
            open_account("account"),
            Step(request, expects=200),
            request,
            entry=ENTRY["deposit"],
            expects=200,
        )


def _transfers(found: CaseList) -> None:
    entry = ENTRY["create_transfer"]
    two = (open_account("source"), open_account("target"))
    found.add(
        "insufficient funds", *two, transfer("source", "target", 10_001), entry=entry, expects=409, is_common=True
    )
    untouched = Step(Request("GET", "/accounts/<<source>>"), expects=200)
    found.add("insufficient funds change nothing", *two, transfer("source", "target", 10**12), untouched, entry=entry)
    unknown = b'{"source_id":%d,"target_id":"<<account>>","amount":1}' % NOBODY
    found.add(
        "unknown source",
        open_account("account"),
        json_request("POST", "/transfers", unknown),
        entry=entry,
        expects=404,
        is_common=True,
    )
    unknown = b'{"source_id":"<<account>>","target_id":%d,"amount":1}' % NOBODY
    found.add(
        "unknown target", open_account("account"), json_request("POST", "/transfers", unknown), entry=entry, expects=404
    )
    unknown = b'{"source_id":%d,"target_id":%d,"amount":1}' % (NOBODY, NOBODY + 1)
    found.add("unknown accounts", json_request("POST", "/transfers", unknown), entry=entry, expects=404)
    same = b'{"source_id":"<<account>>","target_id":"<<account>>","amount":1}'
    found.add("to itself", open_account("account"), json_request("POST", "/transfers", same), entry=entry, expects=422)


def _repeated(found: CaseList) -> None:
    entry = ENTRY["create_transfer"]
    two = (open_account("source"), open_account("target"))
    first = Step(transfer("source", "target", 6_000, KEY), expects=201, saves="transfer")
    found.add(
        "key repeated",
        *two,
        first,
        transfer("source", "target", 6_000, KEY, seed=SEED + 5),
        entry=entry,
        expects=201,
        is_common=True,
    )
    found.add(
        "key repeated moves nothing",
        *two,
        first,
        transfer("source", "target", 6_000, KEY),
        Request("GET", "/accounts/<<source>>"),
        entry=entry,
        expects=200,
    )
    for name, again in {
        "another amount": transfer("source", "target", 6_001, KEY),
        "accounts exchanged": transfer("target", "source", 6_000, KEY),
    }.items():
        found.add(f"key with {name}", *two, first, again, entry=entry, expects=422, is_common=name == "another amount")
    refused = Step(transfer("source", "target", 10_001, KEY), expects=409)
    found.add(
        "key of a refused transfer is free",
        *two,
        refused,
        Step(transfer("source", "target", 5, KEY), 201, "transfer"),
        entry=entry,
    )
    found.add(
        "key sent twice in one request",
        *two,
        Step(
            transfer("source", "target", 1, ("Idempotency-Key", "<<key>>-1"), ("Idempotency-Key", "<<key>>-2")),
            saves="transfer",
        ),
        entry=entry,
    )


def _pages(found: CaseList) -> None:
    entry = ENTRY["list_accounts"]
    for query in (
        "limit=100&after=0",
        "limit=1&after=1",
        "limit=100&after=9223372036854775807",
        "after=3&limit=2&after=5",
    ):
        found.add(f"page {query}", Request("GET", f"/accounts?{query}"), entry=entry, expects=200)
    for query in ("limit=100&after=9900", "limit=99&after=9901", "limit=5&after=9999", "after=10000"):
        found.add(
            f"last page {query}",
            Request("GET", f"/accounts?{query}"),
            entry=entry,
            expects=200,
            needs_own="the end of the list changes with every account that the check opens",
        )
