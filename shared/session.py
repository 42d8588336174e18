"""The session of both editions: SQLAlchemy's own, with a short way for statements that select columns."""

from typing import TYPE_CHECKING
from typing import Any

from sqlalchemy import Connection
from sqlalchemy import Engine
from sqlalchemy import Executable
from sqlalchemy import Result
from sqlalchemy.exc import IllegalStateChangeError
from sqlalchemy.orm import Session


class CoreSession(Session):
    """A session for Core statements: on one connection, and in a transaction only where one was asked for.

    The statements of this project name columns and never entities, and connections are in autocommit. Two questions
    that a session asks each time then have one answer:

    - Has the ORM a part in the statement (bulk updates, loader options, events)? No.
    - Which transaction does a read belong to? None. `Session` keeps books about one all the same (SessionTransaction:
      snapshots of entities, states, events), and ends it without a word to the server.

    So statements go straight to the connection, and one that nobody asked a transaction for has none. From the moment
    that `connection` is called with an isolation level, everything is the session's as ever.

    A third follows from them: the session's own books (identity map, states, transactions, registry of sessions) are
    opened with the first thing that needs them. Making and discarding them was a sixteenth of a request that reads one
    row.

    Args:
        bind: The engine.
        info: Data of the user's own.
        **options: As Session takes them.
    """

    bind: Engine
    _has_books = False
    _reading: Connection | None = None
    _is_connecting = False

    def __init__(self, bind: Engine, *, info: dict[Any, Any] | None = None, **options: Any) -> None:
        self.bind = bind
        self.info = {} if info is None else {**info}
        self._options = options

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Open the books where one of them is asked for; whatever a session does looks at them first."""
            if self._has_books:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            self._has_books = True
            super().__init__(self.bind, **self._options)
            return getattr(self, name)

    def in_transaction(self) -> bool:
        """Return whether a transaction was begun and has not ended."""
        return self._has_books and super().in_transaction()

    def connection(self, bind_arguments: Any = None, execution_options: Any = None) -> Connection:
        """Return the session's connection: that of its transaction, or else one in autocommit.

        Args:
            bind_arguments: As Session takes them; there is one engine.
            execution_options: Given, they begin a transaction, with the isolation level among them.

        Raises:
            IllegalStateChangeError: If another task or thread is taking a connection for this session just now.
        """
        if execution_options or self.in_transaction():
            self._end_reading()
            return super().connection(bind_arguments, execution_options)
        if self._reading is None:
            if self._is_connecting:
                raise _second_user()
            self._is_connecting = True
            try:
                self._reading = self.bind.connect()
            finally:
                self._is_connecting = False
        return self._reading

    def execute(self, statement: Executable, params: Any = None, **_options: Any) -> Result[*tuple[Any, ...]]:
        """Execute a Core statement on the session's connection.

        Args:
            statement: A statement of tables and columns.
            params: Its parameters.
            **_options: What AsyncSession passes along for entities; of no use here.
        """
        return self.connection().execute(statement, params)

    def commit(self) -> None:
        """Commit the transaction, if there is one, and give the connection back."""
        self._end_reading()
        if self.in_transaction():
            super().commit()

    def rollback(self) -> None:
        """Roll the transaction back, if there is one, and give the connection back."""
        self._end_reading()
        if self.in_transaction():
            super().rollback()

    def close(self) -> None:
        """Give the connection back; a transaction that was not committed is rolled back."""
        self._end_reading()
        if self.in_transaction():
            super().close()

    def invalidate(self) -> None:
        """Close the session and throw its connection away."""
        if self._reading is not None:
            self._reading.invalidate()
        self._end_reading()
        super().invalidate()

    def expunge_all(self) -> None:
        """Do nothing: no entity was ever loaded. Called at every close."""

    def _end_reading(self) -> None:
        if self._is_connecting:
            raise _second_user()
        if self._reading is not None:
            # Forgotten only when it is back: what cannot be given back can still be thrown away.
            self._reading.close()
            self._reading = None


def _second_user() -> IllegalStateChangeError:
    """Return what Session raises: a second user would lose the first one's connection."""
    return IllegalStateChangeError(
        "This session is provisioning a new connection; concurrent operations are not permitted", code="isce"
    )
