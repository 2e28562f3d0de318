"""Text from a peer as it may stand in a log or on a console."""

import logging

__all__ = ["escape_record", "escaped"]


def escaped(text: str) -> str:
    """The text with escapes for control characters and for invisible ones, such as marks that reverse its direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def escape_record(record: logging.LogRecord) -> bool:
    """A filter for loggers, which escapes the messages."""
    record.msg, record.args = escaped(record.getMessage()), ()
    return True
