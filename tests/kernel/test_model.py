"""Random sequences of packets, policies and time: the kernel does what the plain-Python session model does.

150 sequences in `make test`, 2,000 in `make test-all` (MICROSEG_TEST_FULL=1), where a failing one is also
made as short as can be. tests/kernel/test_model_mutants.py shows that planted mistakes are found.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from kernel.cache_lines import staying
from kernel.laboratory import NOWHERE, Laboratory
from kernel.laboratory import rule as policy_rule
from kernel.session_lockstep import Lockstep
from kernel.session_packets import HIGH, HIGH6, LOW, LOW6, TALKS
from long_runs import amount, is_long

from microseg.abi_flow import Direction
from microseg.policy.rules import Action, Default, Mode, Policy, Ruleset

SEQUENCES = amount(emulated=20, short=150, long=2000)
STEPS = 40

SIDES = {"low": f"{LOW},{LOW6}", "high": f"{HIGH},{HIGH6}", "low4": LOW, "any": "0.0.0.0/0,::/0"}
SERVICES = ("any", "tcp", "tcp/80", "tcp/40000", "udp/53", "sctp/80", "icmp/8/0", "icmpv6", "proto/47")
RULES = st.builds(
    " ".join,
    st.tuples(
        st.sampled_from(("allow", "allow", "allow", "deny", "reject")),
        st.sampled_from(sorted(SIDES)),
        st.sampled_from(sorted(SIDES)),
        st.sampled_from(SERVICES),
        st.sampled_from(("log", "quietly")),
    ),
)
POLICIES = st.lists(RULES, max_size=5)
DEFAULTS = st.sampled_from(("allow", "allow", "deny", "reject"))
MODES = st.sampled_from((Mode.ENFORCE, Mode.ENFORCE, Mode.ENFORCE, Mode.AUDIT))
WHICH_TALK = st.sampled_from(sorted(TALKS))
DIRECTIONS = st.sampled_from(tuple(Direction))


def ruleset_of(lines: list[str], default: str, mode: Mode) -> Ruleset:
    """Return the policy that lines such as "allow low any tcp/80 log" make."""
    rules = []
    for line in lines:
        action, src, dst, service, log = line.split(" ")
        rules.append(policy_rule(action, SIDES[src], SIDES[dst], service, log=log == "log"))
    return Ruleset((Policy("lab", NOWHERE, tuple(rules), mode=mode),), Default(Action(default)))


class Traffic(RuleBasedStateMachine):
    """One sequence. Subclasses say which data plane it is played to."""

    lab: Laboratory

    def __init__(self) -> None:
        super().__init__()
        self.both = Lockstep(self.lab)
        self.lived = dict.fromkeys(TALKS, 0)

    @initialize(lines=POLICIES, default=DEFAULTS)
    def first_policy(self, lines: list[str], default: str) -> None:
        self.both.enforce(ruleset_of(lines, default, Mode.ENFORCE))

    @rule(name=WHICH_TALK, direction=DIRECTIONS, packets=st.sampled_from((1, 1, 2, 3, 6)))
    def go_on(self, name: str, direction: Direction, packets: int) -> None:
        """Send the next few packets of an orderly life."""
        talk = TALKS[name]
        for _ in range(packets):
            by_client, kind = talk.life[self.lived[name] % len(talk.life)]
            self.both.send(talk, talk.kinds[kind], direction, by_client=by_client)
            self.lived[name] += 1
        self.both.compare()

    @rule(name=WHICH_TALK, direction=DIRECTIONS, orderly=st.sampled_from((0, 0, 1, 2, 3)), data=st.data())
    def send_anything(self, name: str, direction: Direction, orderly: int, data: st.DataObject) -> None:
        """Send packets of any kind, perhaps in the middle of an orderly life."""
        self.go_on(name, direction, orderly)
        talk = TALKS[name]
        kinds = st.tuples(st.sampled_from(("client", "server")), st.sampled_from(sorted(talk.kinds)))
        for sender, kind in data.draw(st.lists(kinds, min_size=1, max_size=4), label="packets"):
            padding = data.draw(st.integers(0, 40), label="padding")
            self.both.send(talk, talk.kinds[kind], direction, by_client=sender == "client", padding=padding)
        self.both.compare()

    @rule(name=WHICH_TALK)
    def start_again(self, name: str) -> None:
        self.lived[name] = 0

    @rule(lines=POLICIES, default=DEFAULTS, mode=MODES)
    def change_policy(self, lines: list[str], default: str, mode: Mode) -> None:
        self.both.enforce(ruleset_of(lines, default, mode))

    @rule(why=st.sampled_from(("rollback", "deadline")))
    def go_back(self, why: str) -> None:
        self.both.roll_back(by_deadline=why == "deadline")

    @rule(steps=st.sampled_from((1, 1, 1, 2, 3, 5, 10, 40)))
    def pass_time(self, steps: int) -> None:
        self.both.pass_time(steps)

    @rule()
    def move(self) -> None:
        self.both.move()

    @rule(which=st.sampled_from(("adopt", "adopt no more")))
    def adopt(self, which: str) -> None:
        self.both.adopt(adopting=which == "adopt")

    def teardown(self) -> None:
        self.both.compare()
        self.both.compare_counters()


def play(lab: Laboratory, sequences: int, phases: tuple[Phase, ...]) -> None:
    """Play so many sequences; raises AssertionError for a difference."""
    with staying():
        _play(lab, sequences, phases)


def _play(lab: Laboratory, sequences: int, phases: tuple[Phase, ...]) -> None:
    machine = type("Traffic", (Traffic,), {"lab": lab})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=STEPS,
            phases=phases,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def test_the_kernel_does_what_the_model_does(lab: Laboratory) -> None:
    play(lab, SEQUENCES, tuple(Phase) if is_long() else (Phase.generate,))
