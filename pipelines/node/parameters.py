"""Parameters that a scanner's console sends as JSON, in a TEXT right after the header."""

import json
from typing import Any

__all__ = ["read_parameters"]


def read_parameters(text: str) -> dict[str, Any] | None:
    """The values in `{"parameters": {name: value, ...}}`; None when the text is anything else.

    `config`, when it is not empty, names another pipeline; `customconfig`, typed by hand, takes precedence over the
    choice from the console's list.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    parameters = message.get("parameters") if isinstance(message, dict) else None
    if not isinstance(parameters, dict):
        return None
    listed, typed = parameters.pop("config", ""), parameters.pop("customconfig", "")
    return parameters | ({"config": typed or listed} if typed or listed else {})
