"""Random rulesets, made directly, about the packets of a small universe."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from universe import GRE, ICMP, TCP, UDP, V4_BASE, V6_BASE

from microseg.analysis.regions import Region
from microseg.policy.addresses import ANY_ADDRESS, ANY_IPV4, ANY_IPV6, NO_ADDRESSES, AddressSet
from microseg.policy.rules import (
    ANY_NAMED_SERVICE,
    Action,
    Default,
    Expectation,
    Mode,
    NamedService,
    NamedSet,
    Policy,
    PolicyTest,
    Protect,
    Rule,
    Ruleset,
)
from microseg.policy.services import ServiceSet
from microseg.source import Span

if TYPE_CHECKING:
    from random import Random

LAST_DAYS = (date(2030, 1, 1), date(2030, 6, 1), date(2031, 1, 1))

_SERVICES = (
    ServiceSet.of(TCP, (22, 22)),
    ServiceSet.of(TCP, (80, 80)),
    ServiceSet.of(TCP, (80, 443)),
    ServiceSet.of(TCP, (443, 443)),
    ServiceSet.of(TCP),
    ServiceSet.of(TCP, source_ports=(67, 67)),
    ServiceSet.of(TCP, (80, 80), (67, 67)),
    ServiceSet.of(UDP, (80, 80)),
    ServiceSet.of(UDP, (80, 80), (67, 67)),
    ServiceSet.of(UDP),
    ServiceSet.of(ICMP),
    ServiceSet.of(ICMP, (8 << 8, 8 << 8 | 255)),
    ServiceSet.of(ICMP, (3 << 8 | 4, 3 << 8 | 4)),
    ServiceSet.of(GRE),
)


class Maker:
    """Makes rulesets of sets that are of a size and are used more than once."""

    def __init__(self, rng: Random, v4_bits: int = 6, v6_bits: int = 2) -> None:
        self._rng = rng
        self._v4_bits = v4_bits
        self._v6_bits = v6_bits
        self._line = 0
        self._most_rules = rng.choice((2, 3, 5))
        self._sets = [NamedSet(f"g{i}", self._addresses()) for i in range(rng.randint(2, 6))]
        self._sets.append(NamedSet("any", ANY_ADDRESS))
        self._services = [NamedService(f"s{i}", self._service()) for i in range(rng.randint(1, 4))]
        self._services.append(ANY_NAMED_SERVICE)

    def ruleset(self, *, expiry: bool = False, tests: int = 0) -> Ruleset:
        """Return a ruleset; its policies may have the same priority."""
        rng = self._rng
        policies = [self._policy(f"p{i}", expiry=expiry) for i in range(rng.randint(1, 3))]
        default = Default(rng.choice(tuple(Action)), log=rng.random() < 0.2)
        return Ruleset(tuple(policies), default, tests=tuple(self._test(f"t{i}") for i in range(tests)))

    def protect(self) -> Protect:
        """Return traffic to protect, of a source that isn't empty."""
        rng = self._rng
        src = rng.choice([each for each in self._sets if each.addresses])
        return Protect("ssh", src, rng.choice(self._services), self._span())

    def region(self) -> Region:
        """Return a product to ask about."""
        rng = self._rng
        src, dst = rng.choice(self._sets), rng.choice(self._sets)
        return Region(src.addresses, dst.addresses, rng.choice(self._services).services)

    def changed(self, ruleset: Ruleset) -> Ruleset:
        """Return the ruleset after a commit: some rules added, gone, moved or rewritten, or a set grown."""
        rng = self._rng
        for _ in range(rng.randint(1, 3)):
            policies = list(ruleset.policies)
            at = rng.randrange(len(policies))
            policies[at] = self._edited(policies[at])
            ruleset = replace(ruleset, policies=tuple(policies))
        if rng.random() < 0.1:
            ruleset = replace(ruleset, default=Default(rng.choice(tuple(Action)), log=rng.random() < 0.2))
        if rng.random() < 0.2:
            ruleset = self._with_another_set(ruleset)
        return ruleset

    def _edited(self, policy: Policy) -> Policy:
        rng, rules = self._rng, list(policy.rules)
        match rng.randrange(6):
            case 0:
                rules.insert(rng.randint(0, len(rules)), self._rule(expiry=False))
            case 1 if rules:
                rules.pop(rng.randrange(len(rules)))
            case 2:
                rng.shuffle(rules)
            case 3 if rules:
                rules[rng.randrange(len(rules))] = self._rule(expiry=False)
            case 4:
                return replace(policy, priority=rng.choice((10, 20, 30)))
            case _:
                return replace(policy, mode=rng.choice(tuple(Mode)))
        return replace(policy, rules=tuple(rules))

    def _with_another_set(self, ruleset: Ruleset) -> Ruleset:
        """Return the ruleset with one of its sets grown or shrunk wherever it is used."""
        old = self._rng.choice(self._sets)
        new = NamedSet(old.name, self._addresses())
        swap = {old.name: new}
        policies = tuple(
            replace(
                policy,
                rules=tuple(
                    replace(
                        rule,
                        src=swap.get(rule.src.name, rule.src),
                        dst=swap.get(rule.dst.name, rule.dst),
                    )
                    for rule in policy.rules
                ),
            )
            for policy in ruleset.policies
        )
        return replace(ruleset, policies=policies)

    def _policy(self, name: str, *, expiry: bool) -> Policy:
        rng = self._rng
        rules = tuple(self._rule(expiry=expiry) for _ in range(rng.randint(1, self._most_rules)))
        mode = Mode.AUDIT if rng.random() < 0.15 else Mode.ENFORCE
        return Policy(name, self._span(), rules, rng.choice((10, 10, 20)), mode)

    def _rule(self, *, expiry: bool) -> Rule:
        rng = self._rng
        return Rule(
            rng.choice((Action.ALLOW, Action.ALLOW, Action.DENY, Action.REJECT)),
            rng.choice(self._sets),
            rng.choice(self._sets),
            rng.choice(self._services),
            self._span(),
            both_ways=rng.random() < 0.15,
            log=rng.random() < 0.15,
            expires=rng.choice(LAST_DAYS) if expiry and rng.random() < 0.4 else None,
        )

    def _test(self, name: str) -> PolicyTest:
        rng = self._rng
        action = rng.choice(tuple(Action))
        sides = (rng.choice(self._sets), rng.choice(self._sets), rng.choice(self._services))
        return PolicyTest(
            name, (Expectation(action, rng.random() < 0.3, *sides, self._span()),), self._span()
        )

    def _span(self) -> Span:
        self._line += 1
        return Span("random.mseg", self._line, 1, self._line, 9)

    def _addresses(self) -> AddressSet:
        found = self._piece()
        for _ in range(self._rng.randrange(3)):
            other = self._piece()
            match self._rng.randrange(4):
                case 0:
                    found &= other
                case 1:
                    found -= other
                case _:
                    found |= other
        return found

    def _piece(self) -> AddressSet:
        rng = self._rng
        kind = rng.randrange(12)
        if kind == 0:
            return rng.choice((ANY_ADDRESS, ANY_IPV4, ANY_IPV6, NO_ADDRESSES))
        base, bits = (V6_BASE, self._v6_bits) if kind < 4 else (V4_BASE, self._v4_bits)
        if rng.random() < 0.5:
            low, high = sorted((rng.randrange(1 << bits), rng.randrange(1 << bits)))
        else:
            free = rng.randint(0, bits)
            low = rng.randrange(1 << bits) >> free << free
            high = low + (1 << free) - 1
        return AddressSet.between(base + low, base + high)

    def _service(self) -> ServiceSet:
        found = self._rng.choice(_SERVICES)
        for _ in range(self._rng.randrange(3)):
            found |= self._rng.choice(_SERVICES)
        return found
