"""Axes of plots and numbers for people: ticks at round numbers, 1.23 M for 1,234,567."""

from __future__ import annotations

import math

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_PREFIXES = ((1e9, " G"), (1e6, " M"), (1e3, " k"))
_PLAIN_BELOW = 10_000


def ticks(least: float, most: float, about: int = 5) -> tuple[float, ...]:
    """Return round numbers, evenly spaced, from at most `least` to at least `most`; about so many."""
    assert math.isfinite(most - least), f"an axis from {least} to {most}"
    span = most - least
    if span <= 0:
        most, span = least + 1, 1.0
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in _STEPS if power * each >= rough * (1 - 1e-9))
    first, last = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
    return tuple(step * number for number in range(first, last + 1))


def short(number: float) -> str:
    """Return a number in three digits or so: 0, 0.25, 36.1, 9,870, 1.23 M."""
    size = abs(number)
    if size >= _PLAIN_BELOW:
        for unit, prefix in _PREFIXES:
            if size >= unit * 0.9995:
                return _digits(number / unit) + prefix
    return _digits(number)


def _digits(number: float) -> str:
    size = abs(number)
    if size >= 99.95:
        return f"{number:,.0f}"
    text = f"{number:.1f}" if size >= 9.995 else f"{number:.2f}" if size >= 0.01 else f"{number:.2g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
