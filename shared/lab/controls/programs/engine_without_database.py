"""While the database is down: whether the edition's engine can be made, and whether it can connect."""

from importlib import import_module
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from shared.config import load
from shared.engine import locate


def wsgi() -> dict[str, bool]:
    """Make the engine, then connect."""
    database_of: Any = import_module("wsgi_app.database").Database
    settings = load()
    database = database_of(settings, locate(settings))
    try:
        database.engine.connect().close()
    except (SQLAlchemyError, OSError):
        return {"is_made": True, "connects": False}
    finally:
        database.dispose()
    return {"is_made": True, "connects": True}


async def asgi() -> dict[str, bool]:
    """Do the same."""
    database_of: Any = import_module("asgi_app.database").Database
    settings = load()
    database = database_of(settings, locate(settings))
    try:
        connection = await database.engine.connect()
        await connection.close()
    except (SQLAlchemyError, OSError):
        return {"is_made": True, "connects": False}
    finally:
        await database.dispose()
    return {"is_made": True, "connects": True}
