"""Dify's description of its Service API, with which answers are validated."""

import json
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30Validator

ROOT = Path(__file__).parents[1]
# Each "oneOf" becomes an "anyOf", because an object can match several of its variants.
API = json.loads((ROOT / "devhost/tests/service-api.openapi.json").read_text("utf-8").replace('"oneOf"', '"anyOf"'))
PATHS = sorted((method, path) for path, methods in API["paths"].items() for method in methods)


def validate(status: int, document: Any, path: str, method: str) -> None:
    """Validates an answer with Dify's schema for its status, if it has one. An error has the three fields of Dify's errors."""
    if status >= 400:
        assert document.keys() == {"code", "message", "status"}
        assert document["status"] == status
    described = API["paths"][path][method]["responses"].get(str(status), {})
    if "$ref" in described:
        described = API["components"]["responses"][described["$ref"].rpartition("/")[2]]
    schema = described.get("content", {}).get("application/json", {}).get("schema", {})
    OAS30Validator({**schema, "components": API["components"]}).validate(document)
