"""A validation as its JSON document holds it; nothing is read or written here."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from shared.lab.validity.result import SCHEMA_VERSION
from shared.lab.validity.result import Validation


def parse(document: Mapping[str, Any]) -> Validation:
    """Return the record, each value of the type it is declared with.

    Raises:
        ValueError: If the document is no validation, or one of another schema version.
    """
    if document.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"schema version {document.get('schema_version')!r}, and {SCHEMA_VERSION} is read")
    return TypeAdapter(Validation).validate_python(document)
