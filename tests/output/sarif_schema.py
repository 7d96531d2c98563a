"""The part of SARIF 2.1.0 that microseg writes, as a JSON schema; sections are those of the OASIS standard.

Stricter than the standard: a property that isn't listed is a mistake. The published schema, where there is a
copy of it, is named by MICROSEG_SARIF_SCHEMA and used as well.
"""

from __future__ import annotations

from typing import Any


def closed(required: str, optional: str = "", **properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these properties and no others."""
    assert set(properties) == {*required.split(), *optional.split()}
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
COUNT_FROM_1 = {"type": "integer", "minimum": 1}
LEVEL = {"enum": ["none", "note", "warning", "error"]}  # 3.27.10
MESSAGE = closed("text", text=TEXT)  # 3.11
URI = {"type": "string", "pattern": r"^([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*$"}  # 3.4.3, RFC 3986
REGION = closed(
    "startLine startColumn endLine endColumn",
    startLine=COUNT_FROM_1,
    startColumn=COUNT_FROM_1,
    endLine=COUNT_FROM_1,
    endColumn=COUNT_FROM_1,
)  # 3.30
PHYSICAL_LOCATION = closed("artifactLocation region", artifactLocation=closed("uri", uri=URI), region=REGION)
LOCATION = closed("physicalLocation", physicalLocation=PHYSICAL_LOCATION)  # 3.28
RELATED = closed(
    "id message physicalLocation",
    id={"type": "integer", "minimum": 0},
    message=closed("text", text=TEXT),
    physicalLocation=PHYSICAL_LOCATION,
)
RESULT = closed(
    "ruleId ruleIndex level message locations",
    "relatedLocations",
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=LEVEL,
    message=MESSAGE,
    locations={"type": "array", "items": LOCATION},
    relatedLocations={"type": "array", "items": RELATED},
)  # 3.27
RULE = closed(
    "id name shortDescription defaultConfiguration",
    "help",
    id=TEXT,
    name=TEXT,
    shortDescription=MESSAGE,
    defaultConfiguration=closed("level", level=LEVEL),
    help=closed("text markdown", text=TEXT, markdown=TEXT),
)  # 3.49
DRIVER = closed(
    "name version rules",
    name=TEXT,
    version=TEXT,
    rules={"type": "array", "items": RULE, "uniqueItems": True},
)  # 3.19
RUN = closed(
    "tool columnKind results",
    tool=closed("driver", driver=DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": RESULT},
)  # 3.14
LOG = closed(
    "$schema version runs",
    "",
    **{
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": RUN},
    },
)  # 3.13
