"""Scenarios as a locustfile, for load from more machines than this one: text only, Locust is not imported."""

import json
from collections.abc import Mapping
from collections.abc import Sequence

from shared.contract import CONTRACT
from shared.lab.planning.plan import Scenario

# The first line of every file that was made here.
MARK = '"""Load of wsgi-vs-asgi for Locust'
# Targets that were typed and that the contract has under another query.
OTHER_GROUP = "other"

HEAD = """{mark}.

Made by: {command}

Each user sends its next request when the last one is answered, without a wait: the
closed model, in which users are connections. Which target comes next is drawn at
random. Groups share the users by the weights below.

On the machine that collects (its web page is at port 8089):

    locust -f {file} --master --host http://SERVICE:PORT

On each machine that loads, one worker per core:

    locust -f {file} --processes -1 --worker --master-host MASTER

Without a page: add --headless --users 64 --spawn-rate 64 --run-time 60s --csv NAME and
--expect-workers N to the first command. Load one edition after the other, with the same
number of users, several times in turn; a single run of each shows no difference.

Load only what you own. Locust takes its own times, on clocks and clients other than
this project's: compare its figures with each other only.
\"""

import random

from locust import FastHttpUser
from locust import constant
from locust import task

"""

USERS = '''OPTIONS = {"allow_redirects": False, "catch_response": True}


class ClosedUser(FastHttpUser):
    """A connection that is never idle; redirects and failures count as failures."""

    abstract = True
    wait_time = constant(0)
    group = ""

    @task
    def send(self) -> None:
        """Send one request of the group; its name in the statistics is its target."""
        targets = TARGETS[self.group]
        [target] = random.choices(list(targets), list(targets.values()))
        with self.client.get(target, name=target, **OPTIONS) as response:
            if not 200 <= response.status_code < 300:
                response.failure(f"status {response.status_code}")
'''

USER = '''

class {name}User(ClosedUser):
    """A user of the group {group}."""

    group = {literal}
    weight = WEIGHTS[group]
'''


def locustfile(scenarios: Sequence[Scenario], *, command: str, file: str) -> str:
    """Return a locustfile with one class of users for each group of scenarios.

    Args:
        scenarios: What is sent, GET requests of the contract.
        command: What made the file, in one line.
        file: Name of the file, for the commands in its head.

    Raises:
        ValueError: If a scenario is no GET request.
    """
    groups: dict[str, dict[str, int]] = {}
    for scenario in scenarios:
        if scenario.method != "GET":
            raise ValueError(f"only GET requests can be exported (got {scenario.method} {scenario.target})")
        if scenario.parts:
            groups[scenario.name] = {part.target: part.weight for part in scenario.parts}
        else:
            groups.setdefault(group_of(scenario.target), {})[scenario.target] = 1
    parts = [HEAD.format(mark=MARK, command=_in_docstring(command), file=_in_docstring(file))]
    parts += ["# Requests of each group, and how often each is drawn.\n", _targets(groups)]
    parts += ["# Share of the users that each group gets.\n", _weights(groups), USERS]
    parts += [
        USER.format(name=group.capitalize(), group=group, literal=_literal(group)) for group in groups
    ]  # fmt: skip
    return "".join(parts)


def group_of(target: str) -> str:
    """Return the contract's group of a target: that of the endpoint with its path."""
    path = target.partition("?")[0]
    for entry in CONTRACT:
        if entry.group is not None and (target in entry.load or path == entry.path):
            return entry.group
    return OTHER_GROUP


def _targets(groups: Mapping[str, Mapping[str, int]]) -> str:
    lines = ["TARGETS = {"]
    for group, targets in groups.items():
        drawn = [f"        {_literal(target)}: {weight}," for target, weight in targets.items()]
        lines += [f"    {_literal(group)}: {{", *drawn, "    },"]
    return "\n".join([*lines, "}", ""])


def _weights(groups: Mapping[str, Mapping[str, int]]) -> str:
    return "\n".join(["WEIGHTS = {", *(f"    {_literal(group)}: 1," for group in groups), "}", ""])


def _literal(text: str) -> str:
    """Return text as a Python literal, quoted as formatters quote it."""
    return f"'{text}'" if '"' in text and not {"'", "\\"} & {*text} else json.dumps(text)


def _in_docstring(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'")
