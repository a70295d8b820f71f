"""
Call every operation with a client of openapi-python-client: `calls.py ADDRESS FILE`.

It runs in the environment of that client. FILE has the operations; a line with name and
status is printed for each.
"""

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

PACKAGE = "variational_autoencoder_client"


def body_of(example: dict[str, Any], annotation: Any) -> Any:
    """Return an example as the class that has its members."""
    for kind in get_args(annotation) or (annotation,):
        names = set(getattr(kind, "__annotations__", ()))
        if example.keys() <= names:
            return kind.from_dict(example)
    raise TypeError(f"no class of {annotation} has the members {list(example)}")


def sendable(example: dict[str, Any]) -> dict[str, Any]:
    """
    Return an example with rows of words and gaps split into columns and data.

    The generated classes send every list as the first form that is one, of numbers.
    """
    found = dict(example)
    for name, rows in example.items():
        first = rows[0] if isinstance(rows, list) and rows else None
        if not isinstance(first, dict):
            continue
        if not all(isinstance(cell, int | float) for cell in first.values()):
            data = [list(row.values()) for row in rows]
            found[name] = {"columns": list(first), "data": data}
    return found


def call(client: Any, one: dict[str, Any]) -> int:
    """Call an operation, check the class of its answer, and return the status."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", one["name"]).lower()
    module = import_module(f"{PACKAGE}.api.{one['tag']}.{name}")
    arguments = dict(one["query"])
    if one["body"] is not None:
        hints = get_type_hints(module.sync_detailed)
        arguments["body"] = body_of(sendable(one["body"]), hints["body"])
    response = module.sync_detailed(client=client, **arguments)
    kind = type(response.parsed).__name__
    if not one["is_text"] and kind in ("NoneType", "Problem"):
        raise TypeError(f"{one['name']}: {response.status_code}, {kind}")
    return int(response.status_code)


def main(address: str, file: str) -> None:
    """Call all operations in turn."""
    client = import_module(PACKAGE).Client(base_url=address)
    for one in json.loads(Path(file).read_text()):
        sys.stdout.write(f"{one['name']} {call(client, one)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
