"""Errors without the memory that they hold."""

from typing import TypeVar

__all__ = ["released"]

Error = TypeVar("Error", bound=BaseException)


def released(error: Error) -> Error:
    """The error without traceback and context, whose frames hold the scan's arrays.

    A future holds the error, and a frame holds the future, so that the arrays would stay until a garbage collection.
    """
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)
