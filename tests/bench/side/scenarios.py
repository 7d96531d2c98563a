"""What is compared, as tables: each scenario sets contestants up, measures them in turns, takes them down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from bench.results import Limit, Row, Section, Table
from bench.side.arena import Taken, arena, say
from bench.side.bare import BARE, Nothing, Plain
from bench.side.contestant import RULES6, Contestant, Lets, Rules
from bench.side.flows import STRANGERS, Stream
from bench.side.iperf import ROUNDS as ITS_ROUNDS
from bench.side.iperf import throughput
from bench.side.iptables import Iptables
from bench.side.nftables import Linear, Netdev, Nftables
from bench.side.ours import Ours

from microseg.reconcile.dataplane import Hook

COMMAND = "make bench BENCH=side"
FLOWS = (1, 1000, 100_000, 1_000_000)
FLOWS6 = (1, 100_000)
SIZES = (10, 1000, 10_000, 100_000)
RULES_OF_FLOWS = Rules(100)
MANY = Rules(10_000)
FEW_CLIENTS = 8
"""Of new flows: so few that what is known of them stays in the processor's caches."""
NOTHING, TC, XDP = Nothing.name, "microseg, TC", "microseg, XDP"
STATEFUL, NETDEV = Nftables.name, Netdev.name
ADDED = ("x what nftables adds", "added, ns", "in all, ns", "lower quartile", "upper quartile")
Found = Mapping[str, Taken]


def _everybody() -> list[Contestant]:
    ours: list[Contestant] = [Ours(Hook.TCX), Ours(Hook.XDP)]
    others: list[Contestant] = [Nftables(), Linear(), Netdev(), Iptables("nft"), Iptables("legacy")]
    return [Nothing(), BARE["empty"], *ours, *others, Plain()]


def _filters() -> list[Contestant]:
    return [one for one in _everybody() if one.name != Plain.name]


def established(rounds: int) -> Section:
    """Flows that are known already, few and many."""
    tables, limits = [], []
    by_flows: dict[int, Found] = {}
    with arena(_everybody(), rounds, sessions=FLOWS[-1] + FLOWS[-1] // 5) as made:
        made.install(RULES_OF_FLOWS)
        for version, numbers in ((4, FLOWS), (6, FLOWS6)):
            for flows in numbers:
                say(f"  IPv{version}, established, {_flows(flows)}")
                stream = Stream(version, flows, RULES_OF_FLOWS.hosts if version == 4 else RULES6)
                made.establish(stream)
                most = {(4, 1): 0.4, (4, 100_000): 0.5}.get((version, flows))
                found = made.measure(stream, promised=most is not None)
                if version == 6:
                    found.pop(Plain.name, None)
                else:
                    by_flows[flows] = found
                tables.append(_added(f"Established, {_flows(flows)}, IPv{version}", found))
                if most is not None:
                    what = f"established, {_flows(flows)}: what it adds, x what nftables adds"
                    limits.append(Limit(what, _ratio(found, TC), most=most))
    return Section("side by side: established flows", (*_by_flows(by_flows), *tables), tuple(limits))


def new(rounds: int) -> Section:
    """Packets that each open a flow, of few clients and of all."""
    tables, limits = [], []
    with arena(_everybody(), rounds) as made:
        made.install(MANY)
        for version, hosts in ((4, FEW_CLIENTS), (4, MANY.hosts), (6, RULES6)):
            say(f"  IPv{version}, new flows of {hosts:,} clients")
            found = made.measure(Stream(version, 0, hosts), promised=version == 4)
            if version == 6:
                found.pop(Plain.name, None)
            else:
                what = f"new flows of {hosts:,} clients: what it adds, x what nftables adds"
                limits.append(Limit(what, _ratio(found, TC), most=0.65))
            tables.append(
                _added(f"New flows of {hosts:,} clients, {MANY.count:,} rules, IPv{version}", found)
            )
    return Section("side by side: new flows", tuple(tables), tuple(limits))


def denied(rounds: int) -> Section:
    """Packets that no rule allows: of few flows again and again, and each of another."""
    tables, limits = [], []
    drops: list[Contestant] = [BARE["drop"], BARE["xdp-drop"]]
    with arena([*(one for one in _filters() if one.lets is Lets.ALLOWED), *drops], rounds) as made:
        made.install(MANY)
        for version in (4, 6):
            for words, flows, hosts in (
                ("1 flow", 1, 1),
                ("1,000 flows", 1000, 1000),
                ("new flows", 0, 1024),
            ):
                say(f"  IPv{version}, denied packets, {words}")
                promised = (version, flows) == (4, 1)
                stream = Stream(version, flows, hosts, STRANGERS[version])
                found = made.measure(stream, allowed=False, promised=promised)
                tables.append(_rates(f"Denied packets, {words}, {MANY.count:,} rules, IPv{version}", found))
                if promised:
                    limits = [_drops(found, TC, 1.1), _drops(found, XDP, 3.0)]
    return Section("side by side: denied packets", tuple(tables), tuple(limits))


def sizes(rounds: int) -> Section:
    """The same with few rules and with many."""
    hot: dict[int, Found] = {}
    cold: dict[int, Found] = {}
    coldest: dict[int, Found] = {}
    with arena(_filters(), rounds, rules=SIZES[-1]) as made:
        for size in SIZES:
            say(f"  {size:,} rules")
            rules = Rules(size)
            made.install(rules)
            one = Stream(4, 1, 1)
            made.establish(one)
            hot[size] = made.measure(one)
            cold[size] = made.measure(Stream(4, 0, FEW_CLIENTS))
            coldest[size] = made.measure(Stream(4, 0, rules.hosts))
    tables = (
        _by_size("An established flow by the number of rules, IPv4", hot),
        _by_size(f"New flows of {FEW_CLIENTS} clients by the number of rules, IPv4", cold),
        _by_size("New flows of as many clients as rules, IPv4", coldest),
    )
    compared, limits = _few_and_many(rounds)
    return Section("side by side: number of rules", (compared, *tables), limits)


def _few_and_many(rounds: int) -> tuple[Table, tuple[Limit, ...]]:
    """Measure ours with few rules beside ours with many, in turns: a neighbour's load falls on both."""
    few, many = (tuple(Ours(hook, Rules(size)) for hook in (Hook.TCX, Hook.XDP)) for size in (10, MANY.count))
    pairs = dict(zip((TC, XDP), zip(few, many, strict=True), strict=True))
    found: dict[str, Found] = {}
    with arena([*few, *many], rounds) as made:
        made.install(Rules(10))  # what all of them allow
        one = Stream(4, 1, 1)
        made.establish(one)
        found["established"] = made.measure(one, promised=True)
        found["new flow"] = made.measure(Stream(4, 0, FEW_CLIENTS), promised=True)
    shares = {
        (what, name): taken[large.name].times(taken[small.name])
        for what, taken in found.items()
        for name, (small, large) in pairs.items()
    }
    rows = tuple(Row(name, tuple(shares[what, name] for what in found)) for name in pairs)
    title = f"A packet at {MANY.count:,} rules, x that at 10"
    note = f"In all, compared round by round; new flows are of {FEW_CLIENTS} clients."
    limits = (
        Limit(f"{what}, {name}: a packet at {MANY.count:,} rules, x that at 10", share, most=1.15)
        for (what, name), share in shares.items()
    )
    return Table(title, tuple(found), rows, COMMAND, note), tuple(limits)


def tcp(_rounds: int) -> Section:
    """One TCP connection as fast as it goes."""
    contestants: list[Contestant] = [Nothing(), BARE["empty"], Ours(Hook.TCX), Ours(Hook.XDP), Nftables()]
    with arena(contestants, 1) as made:
        made.install(RULES_OF_FLOWS)
        found = throughput(made)
    shares = {
        name: median(mine / theirs for mine, theirs in zip(speeds, found[NOTHING], strict=True))
        for name, speeds in found.items()
    }
    rows = tuple(Row(name, (shares[name], median(speeds))) for name, speeds in found.items())
    note = (
        f"iperf3 from one namespace to another, {ITS_ROUNDS} rounds in turn, compared round by round. With "
        "XDP, veth hands over no segments larger than a frame: where containers talk to each other, TC is "
        "the hook to use. Cards split them anyway."
    )
    table = Table("TCP throughput", ("x without", "Gbit/s"), rows, COMMAND, note)
    limits = [Limit("TCP throughput, x without filter", shares[TC], least=0.95)]
    if median(found[NOTHING]) > 10:
        limits.append(Limit("TCP throughput, Gbit/s", median(found[TC]), least=10.0))
    return Section("side by side: TCP", (table,), tuple(limits))


SCENARIOS: Mapping[str, Callable[[int], Section]] = {
    "established": established,
    "new": new,
    "denied": denied,
    "sizes": sizes,
    "tcp": tcp,
}


def _ratio(found: Found, name: str) -> float:
    """Return what one adds, as so many times what nftables does."""
    theirs = found[STATEFUL].over(found[NOTHING])
    return found[name].over(found[NOTHING]) / theirs if theirs > 0 else float("inf")


def _added(title: str, found: Found) -> Table:
    rows = [
        Row(
            name,
            (
                None if name == NOTHING else _ratio(found, name),
                None if name == NOTHING else taken.over(found[NOTHING]),
                taken.median,
                *taken.quartiles,
            ),
        )
        for name, taken in found.items()
    ]
    note = (
        f"Medians of {len(found[NOTHING].rounds)} rounds, in turn; what each adds is compared round by round."
    )
    return Table(title, ADDED, tuple(rows), COMMAND, note)


def _flows(number: int) -> str:
    return f"{number:,} flow" + "s" * (number > 1)


def _by_flows(found: Mapping[int, Found]) -> tuple[Table, Table]:
    """Return what each adds by the number of flows: next to nftables, and in nanoseconds."""
    columns = tuple(map(_flows, found))
    names = [name for name in found[FLOWS[0]] if name != NOTHING]
    shares = tuple(Row(name, tuple(_ratio(each, name) for each in found.values())) for name in names)
    costs = tuple(
        Row(name, tuple(each[name].over(each[NOTHING]) for each in found.values())) for name in names
    )
    return (
        Table("What each adds to an established flow, x what nftables adds", columns, shares, COMMAND),
        Table("What each adds to an established flow, ns", columns, costs, COMMAND),
    )


def _rates(title: str, found: Found) -> Table:
    rows = [
        Row(name, (found[NETDEV].median / taken.median, 1000 / taken.median, taken.median, *taken.quartiles))
        for name, taken in found.items()
    ]
    columns = ("x nftables netdev", "Mpps", "in all, ns", "lower quartile", "upper quartile")
    return Table(title, columns, tuple(rows), COMMAND)


def _drops(found: Found, name: str, least: float) -> Limit:
    what = f"denied packets of one flow: drops a second by {name}, x those of nftables' netdev hook"
    return Limit(what, found[NETDEV].median / found[name].median, least=least)


def _by_size(title: str, found: Mapping[int, Found]) -> Table:
    columns = tuple(f"{size:,} rules, ns" for size in found)
    names: Sequence[str] = list(found[SIZES[0]])
    rows = tuple(
        Row(name, tuple(each[name].median if name in each else None for each in found.values()))
        for name in names
    )
    return Table(title, columns, rows, COMMAND, "Medians, in all. A gap: it could not load so many rules.")
