"""One edition under the check: sends a case's requests in order and keeps what it answered."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from http import HTTPStatus

from shared.config import Edition
from shared.lab.observation.statements import Kinds
from shared.lab.observation.statements import StatementCounter
from shared.lab.parity import shell
from shared.lab.parity.case import TOKEN
from shared.lab.parity.case import Case
from shared.lab.parity.judgement import Answer
from shared.lab.parity.message import Request
from shared.lab.parity.message import Response
from shared.lab.parity.transport import Address
from shared.lab.parity.transport import Exchange


@dataclass(slots=True)
class Side:
    """One edition's service.

    Attributes:
        edition: Which.
        address: Where it listens.
        token: Lets it honour seeds; None: it does not.
        counter: Counts its statements; None: they are not counted.
        nonce: Makes this run's idempotency keys new.
        shown: Address in the commands that reproduce a difference.
        values: Ids that it handed out for the whole run, by name.
        statements: How many were counted.
    """

    edition: Edition
    address: Address
    token: str | None
    counter: StatementCounter | None
    nonce: str
    shown: Address
    values: dict[str, str] = field(default_factory=dict)
    statements: int = 0

    def answer(self, case: Case) -> list[Answer]:
        """Send a case's requests, one after the other."""
        values = self.case_values(case)
        answers = []
        for step in case.steps:
            responses = Exchange(self.address, self.filled(step.request, values)).responses()
            kinds = None
            if self.counter is not None and case.counts_sql:
                kinds = self.counter.take()
                self.statements += kinds.total()
            if step.saves or responses[-1].status == HTTPStatus.CREATED:
                values[step.saves or "new"] = _id_in(responses[-1])
            answers.append(self.received(responses, kinds, values))
        return answers

    def answer_at_once(self, cases: list[Case]) -> list[list[Answer]]:
        """Send the requests of single-step cases at the same time; their statements cannot be told apart."""
        requests = [self.filled(case.steps[0].request, self.case_values(case)) for case in cases]
        exchanges = [Exchange(self.address, request) for request in requests]
        return [[self.received(exchange.responses(), None, {})] for exchange in exchanges]

    def filled(self, request: Request, values: Mapping[str, str]) -> Request:
        """Return a request as it is sent."""
        # Without a token the placeholder goes out, which no service takes for its token.
        return request.filled({**values, TOKEN[2:-2]: self.token or "none"})

    def case_values(self, case: Case) -> dict[str, str]:
        """Return the values that a case's placeholders begin with."""
        return {**self.values, "key": f"{self.nonce}-{self.edition}-{abs(hash(case.name)):x}"}

    def lines(self, case: Case, values: Mapping[str, str], last: int) -> tuple[str, ...]:
        """Return the shell commands that repeat a case up to a step."""
        steps = case.steps[: last + 1]
        return tuple(shell.command(self.shown, self.filled(step.request, values), self.token) for step in steps)

    def received(self, responses: tuple[Response, ...], kinds: Kinds | None, values: Mapping[str, str]) -> Answer:
        """Return an answer as it is judged."""
        return Answer(responses, kinds, time.time(), {k: v for k, v in values.items() if v.isdecimal()})


def _id_in(response: Response) -> str:
    """Return the id in an answer; "0", which no account has, where there is none."""
    try:
        return str(int(json.loads(response.body)["id"]))
    except (ValueError, KeyError, TypeError):
        return "0"
