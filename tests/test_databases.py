"""Databases of a command's own are gone in the end, whatever happens meanwhile."""

from sqlalchemy import text
from sqlalchemy.engine import make_url

from shared.lab import databases
from shared.lab.databases import administration

NAMES = text("SELECT datname FROM pg_database")
END = text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE :query")


def test_databases_are_dropped_though_the_connection_that_made_them_is_lost(database_url: str) -> None:
    """Ctrl-C in the middle of a statement costs the connection that it was sent over; here the server ends it."""
    own = databases.new_pair(database_url, "claims")
    names = {make_url(url).database for url in own}
    with databases.created(database_url, own), administration(database_url) as connection:
        assert names <= set(connection.execute(NAMES).scalars())
        connection.execute(END, {"query": f'CREATE DATABASE "{make_url(own[1]).database}"%'})
    with administration(database_url) as connection:
        assert not names & set(connection.execute(NAMES).scalars())
