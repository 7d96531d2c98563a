"""A call that is made beside others, by a thread of its own: most of it is waiting for the kernel."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


class Aside(Generic[Value]):
    """A call under way; a context manager that doesn't end before it has."""

    def __init__(self, call: Callable[[], Value]) -> None:
        self._call = call
        self._value: Value
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="aside")

    @property
    def value(self) -> Value:
        """What it returned, behind the context; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._value

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001  it is raised where the value is asked for
            self._error = error
