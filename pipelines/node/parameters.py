"""Parameters that a scanner's console sends as JSON, in a TEXT right after the header."""

import json

__all__ = ["read_parameters"]


def read_parameters(text: str) -> dict[str, str] | None:
    """The values in `{"parameters": {name: value, ...}}` as text; None when the text is anything else.

    `config`, when it is not empty, names another pipeline; `customconfig`, typed by hand, goes before the choice from
    the console's list.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    parameters = message.get("parameters") if isinstance(message, dict) else None
    if not isinstance(parameters, dict):
        return None
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    listed, typed = values.pop("config", ""), values.pop("customconfig", "")
    return values | ({"config": typed or listed} if typed or listed else {})
