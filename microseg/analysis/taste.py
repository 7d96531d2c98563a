"""What is a matter of taste in lint; apart from lint, so that reading settings imports no analysis."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from microseg.output.severities import Severities
from microseg.policy.rules import NOTICE

if TYPE_CHECKING:
    from datetime import timedelta


class OpenSide(Enum):
    """A side of a rule that leaves at least half of what there is; the value is how it is said."""

    SOURCE = "from almost anywhere"
    DESTINATION = "to almost anywhere"
    SERVICE = "on almost every port"


@dataclass(frozen=True, slots=True)
class Options:
    """What is a matter of taste.

    Attributes:
        too_open: an allow rule is remarked on when each of these sides leaves at least half of all there is;
            none of them: never.
        repeated_default: remark on rules that refuse what the default refuses anyway; many write them on
            purpose.
        notice: how long before its last day a rule is announced to expire.

    """

    too_open: frozenset[OpenSide] = frozenset({OpenSide.SOURCE, OpenSide.SERVICE})
    repeated_default: bool = False
    notice: timedelta = NOTICE


DEFAULT_OPTIONS = Options()


@dataclass(frozen=True, slots=True)
class Taste:
    """What [lint] in microseg.toml says.

    Attributes:
        severities: how findings are taken, code by code.
        options: what is a matter of taste.

    """

    severities: Severities = field(default_factory=Severities)
    options: Options = DEFAULT_OPTIONS
