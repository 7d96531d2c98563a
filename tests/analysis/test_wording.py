"""Products are told in the language: read back, their words mean just their packets."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from random import Random

import pytest
from random_rulesets import Maker
from universe import small

from microseg.analysis import service_text
from microseg.analysis.difference import compare
from microseg.analysis.naming import AddressNames, ServiceNames
from microseg.analysis.query import query
from microseg.analysis.regions import Region
from microseg.analysis.wording import Product
from microseg.compiler.pipeline import compile_tree
from microseg.policy.addresses import ANY_ADDRESS, ANY_IPV4, AddressSet
from microseg.policy.rules import NamedService, NamedSet, Rule, Ruleset
from microseg.policy.services import ANY_SERVICE, ServiceSet
from microseg.source import MemoryTree

UNIVERSE = small(v4_bits=4, v6_bits=2)
EXCEPT = "any except "


def definitions(ruleset: Ruleset) -> list[str]:
    rules = [ordered.rule for ordered in ruleset.ordered()]
    sets = {side.name: side.addresses for rule in rules for side in (rule.src, rule.dst)}
    services = {rule.service.name: rule.service.services for rule in rules}
    return [
        *(
            f"group {name} = {', '.join(map(str, addresses.networks())) or 'any4 & any6'}"
            for name, addresses in sets.items()
            if name != "any"
        ),
        *(
            f"service {name} = {', '.join(service_text.terms(service))}"
            for name, service in services.items()
            if name != "any"
        ),
    ]


def read_back(ruleset: Ruleset, products: list[Product]) -> list[Rule]:
    rules = [f"allow {product.src} -> {product.dst} : {product.service}" for product in products]
    text = "\n".join([*definitions(ruleset), "policy told {", *rules, "}"]).replace(EXCEPT, "")
    compilation = compile_tree(MemoryTree({"told.mseg": text.encode()}), date(2026, 6, 1))
    assert not [each for each in compilation.diagnostics if each.is_error], (text, compilation.diagnostics)
    (policy,) = compilation.ruleset.policies
    return list(policy.rules)


def check(ruleset: Ruleset, products: list[Product], seed: int) -> None:
    for product, rule in zip(products, read_back(ruleset, products), strict=True):
        service = rule.service.services
        if product.service.startswith(EXCEPT):
            service = ANY_SERVICE - service
        told = UNIVERSE.region(Region(rule.src.addresses, rule.dst.addresses, service))
        assert told == UNIVERSE.region(product.region), (seed, str(product))


@pytest.mark.parametrize("part", range(3))
def test_products_mean_what_they_say(part: int) -> None:
    for seed in range(part, 240, 3):
        maker = Maker(Random(seed), v4_bits=4, v6_bits=2)
        before = maker.ruleset()
        after = maker.changed(before)
        parts = [change.part for change in compare(before, after)]
        parts += [part for answer in query(before, maker.region()) for part in answer.parts]
        products = [each for part in parts for each in (part.product, *part.exceptions)]
        both = replace(before, policies=before.policies + after.policies)
        if products and not _has_two_meanings(both):
            check(both, products, seed)


def _has_two_meanings(ruleset: Ruleset) -> bool:
    """Say whether a name stands for one set before and for another after."""
    rules = [ordered.rule for ordered in ruleset.ordered()]
    named = {side for rule in rules for side in (rule.src, rule.dst)}
    return len(named) > len({side.name for side in named})


WEB, APP = AddressSet.of("10.1.1.0/24", "2001:db8:1::/64"), AddressSet.of("10.1.2.0/24")
NAMES = AddressNames([NamedSet("web", WEB), NamedSet("app", APP), NamedSet("10.1.2.0/24", APP)])


@pytest.mark.parametrize(
    ("src", "dst", "words"),
    [
        (WEB, APP, ("web", "app")),
        (AddressSet.of("10.1.1.0/24"), APP, ("web", "app")),
        (WEB, WEB, ("web", "web")),
        (AddressSet(v4=WEB.v4), AddressSet(v4=WEB.v4), ("web & any4", "web")),
        (ANY_IPV4, ANY_IPV4, ("any4", "any4")),
        (ANY_ADDRESS, APP, ("any", "app")),
        (AddressSet(v4=WEB.v4) | APP, APP, ("app | web", "app")),
        (ANY_ADDRESS - APP, APP, ("any - app", "app")),
        (WEB - AddressSet.of("10.1.1.7"), APP, ("web - 10.1.1.7", "app")),
        (APP - AddressSet.of("10.1.2.7", "10.1.2.9"), APP, ("app - (10.1.2.7 | 10.1.2.9)", "app")),
        (AddressSet.of("10.9.0.0/30", "10.9.0.4"), APP, ("10.9.0.0 - 10.9.0.4", "app")),
    ],
)
def test_addresses_in_words(src: AddressSet, dst: AddressSet, words: tuple[str, str]) -> None:
    assert NAMES.pair(src, dst) == words


HTTP = ServiceSet.of(6, (80, 80)) | ServiceSet.of(6, (443, 443))
SERVICES = ServiceNames([NamedService("http", HTTP), NamedService("tcp/80 | tcp/443", HTTP)])


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (HTTP, "http"),
        (HTTP | ServiceSet.of(17, (67, 67), (68, 68)), "http, udp/67 from 68"),
        (ANY_SERVICE, "any"),
        (ANY_SERVICE - HTTP, "any except http"),
        (ServiceSet.of(6, (8000, 8080)), "tcp/8000-8080"),
        (ServiceSet.of(1, (8 << 8, 9 << 8)), "icmp/8, icmp/9/0"),
        (ServiceSet.of(58, (128 << 8, 129 << 8 | 255)), "icmpv6/128-129"),
        (
            ServiceSet.of(6) | ServiceSet.of(7) | ServiceSet.of(1) | ServiceSet.of(2),
            "icmp, tcp, proto/2, proto/7",
        ),
        (ServiceSet.of(47) | ServiceSet.of(50) | ServiceSet.of(51), "proto/47, proto/50-51"),
    ],
)
def test_services_in_words(service: ServiceSet, words: str) -> None:
    assert SERVICES.words(service).text == words
