"""The session of both editions: SQLAlchemy's own, with a short way for statements that select columns."""

from typing import Any

from sqlalchemy import Executable
from sqlalchemy import Result
from sqlalchemy.orm import Session


class CoreSession(Session):
    """A session that hands Core statements straight to its connection.

    `Session.execute` first asks whether the ORM has a part in a statement: bulk updates, loader options, events. The
    statements of this project name columns and never entities, so the answer is always no; skipping the question
    saves about a tenth of a one-row request. The transaction, its connection and its end are the session's as ever.
    """

    def execute(self, statement: Executable, params: Any = None, **_options: Any) -> Result[*tuple[Any, ...]]:
        """Execute a Core statement on the session's connection.

        Args:
            statement: A statement of tables and columns.
            params: Its parameters.
            **_options: What AsyncSession passes along for entities; of no use here.
        """
        return self.connection().execute(statement, params)

    def expunge_all(self) -> None:
        """Do nothing: no entity was ever loaded. Called at every close."""
