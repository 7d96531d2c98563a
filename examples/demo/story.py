"""The story: a policy's life, told in acts. Every statement of it is checked while it is made."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.demo import policies
from examples.demo.network import APP, DB, WEB, Family, Node
from examples.demo.traffic import LOSS_S, Flow, Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from examples.demo.commandline import Microseg
    from examples.demo.narration import Narrator
    from examples.demo.repository import Repository
    from examples.demo.traffic import Traffic, Transfer

WATCHED_S = 1.5
CHANGES = 2
"""The exit code of `plan --detailed-exitcode` when there is something to do."""


def both(client: Node, server: Node, transport: Transport, port: int) -> tuple[Flow, ...]:
    """Return the flow over IPv4 and over IPv6."""
    return tuple(Flow(client, server, transport, port, family) for family in Family)


WEB_TO_APP_TCP = both(WEB, APP, Transport.TCP, 80)
WEB_TO_APP_UDP = both(WEB, APP, Transport.UDP, 443)
WEB_TO_APP = WEB_TO_APP_TCP + WEB_TO_APP_UDP
APP_TO_DATABASE = both(APP, DB, Transport.TCP, 5432)
APP_TO_BACKUP = both(APP, DB, Transport.UDP, 9000)
WEB_TO_DATABASE = both(WEB, DB, Transport.TCP, 5432) + both(WEB, DB, Transport.UDP, 9000)
UNHEARD_OF = both(WEB, APP, Transport.TCP, 8080) + both(DB, WEB, Transport.UDP, 7000)
EVERYTHING = WEB_TO_APP + APP_TO_DATABASE + APP_TO_BACKUP + WEB_TO_DATABASE + UNHEARD_OF


@dataclass(frozen=True)
class Story:
    """What it takes to tell it."""

    narrator: Narrator
    traffic: Traffic
    repository: Repository
    microseg: Microseg

    def play(self) -> None:
        """Tell all of it; raises UntrueError at the first thing that isn't as said."""
        early = self.before()
        commit = self.first_policy(early)
        self.enforcement(commit)
        self.change_under_load(early)
        self.broken_policy()
        self.rollback()
        self.detach()

    def before(self) -> list[Transfer]:
        self.narrator.act("Three hosts and no policy")
        self.narrator.say(
            "web, app and db are network namespaces, each cabled to a fourth one that forwards."
        )
        for server, transport, port in {(flow.server, flow.transport, flow.port) for flow in EVERYTHING}:
            self.traffic.serve(server, transport, port)
        self.narrator.say("Every server answers everybody:")
        self.check(EVERYTHING, answered=True)
        self.narrator.say("Two connections are open and busy from now on:")
        early = [self.traffic.transfer(flow) for flow in WEB_TO_APP_TCP]
        self.watch(early, flowing=True)
        return early

    def first_policy(self, early: Sequence[Transfer]) -> str:
        self.narrator.act("A policy, under git")
        self.repository.create()
        commit = self.repository.commit(policies.FILE, policies.FIRST, "shop: three tiers")
        self.narrator.say(f"Commit {commit} of a repository of its own, in policies.d/{policies.FILE}:")
        self.narrator.show(policies.FIRST)
        self.narrator.say("Where this instance keeps its things, and what it guards (microseg.toml):")
        self.narrator.show(self.microseg.configure())
        self.microseg.run("lint")
        self.narrator.say("What would be done? Exit code 2 means: there are changes.")
        self.microseg.run("plan", "--detailed-exitcode", exit_code=CHANGES)
        self.narrator.say("Do it: compile and verify the program, fill a slot, read it back, attach, switch.")
        self.microseg.run("apply")
        self.narrator.say("And now there is nothing left to do:")
        self.microseg.run("plan", "--detailed-exitcode")
        self.narrator.say("The connections that were open before haven't noticed, as they are allowed:")
        self.watch(early, flowing=True)
        return commit

    def enforcement(self, commit: str) -> None:
        self.narrator.act("What is allowed goes on, what isn't gets no answer")
        self.check(WEB_TO_APP + APP_TO_DATABASE, answered=True)
        self.narrator.say("Denied by the rule about db, and by the default:")
        self.check(WEB_TO_DATABASE + APP_TO_BACKUP + UNHEARD_OF, answered=False)
        self.observe(commit)
        self.narrator.say("Every rule has counted what it judged:")
        self.microseg.run("counters")

    def change_under_load(self, early: Sequence[Transfer]) -> None:
        self.narrator.act("A change under running transfers")
        revoked = [self.traffic.transfer(flow) for flow in APP_TO_DATABASE]
        untouched = [*early, *(self.traffic.transfer(flow) for flow in WEB_TO_APP_UDP)]
        self.narrator.say("Data flows on these connections:")
        self.watch(revoked + untouched, flowing=True)
        self.commit(policies.SECOND, "shop: the application only reaches the backup port")
        self.narrator.say("What does that mean for packets, and which of these connections would it cut?")
        self.microseg.run("plan", "--detailed-exitcode", exit_code=CHANGES)
        self.microseg.run("apply")
        self.narrator.say("Connections that the new policy doesn't allow stopped at their next packet:")
        self.watch(revoked, flowing=False)
        self.narrator.say("The others go on:")
        self.watch(untouched, flowing=True)
        self.narrator.say("New connections are judged by the new policy:")
        self.check(WEB_TO_APP + APP_TO_BACKUP, answered=True)
        self.check(APP_TO_DATABASE + WEB_TO_DATABASE, answered=False)

    def broken_policy(self) -> None:
        self.narrator.act("A policy that is wrong")
        self.commit(policies.BROKEN, "shop: tidy up")
        self.narrator.say("All mistakes are told at once, and nothing is touched:")
        self.microseg.run("apply", exit_code=1)
        self.narrator.say("The policy before it still stands:")
        self.check(WEB_TO_APP + APP_TO_BACKUP, answered=True)
        self.check(APP_TO_DATABASE + WEB_TO_DATABASE, answered=False)
        self.microseg.run("status")

    def rollback(self) -> None:
        self.narrator.act("The way back")
        self.narrator.say("The slot of the policy before is as it was. Going back is one store:")
        self.microseg.run("rollback")
        self.check(WEB_TO_APP + APP_TO_DATABASE, answered=True)
        self.check(APP_TO_BACKUP + WEB_TO_DATABASE, answered=False)
        self.microseg.run("status")

    def detach(self) -> None:
        self.narrator.act("The end of enforcement")
        self.narrator.say("Only this ends it. A crash, a kill or an upgrade of microseg doesn't.")
        self.microseg.run("detach")
        self.check(EVERYTHING, answered=True)

    def observe(self, commit: str) -> None:
        """Show who decided about a packet: rule, file, line and commit."""
        place = f"{policies.DENIAL}@{commit}"

        def is_told(flow: Flow, lines: Sequence[str]) -> bool:
            return any(place in line and flow.is_told_in(line) for line in lines)

        def all_are_told(lines: Sequence[str]) -> bool:
            return all(is_told(flow, lines) for flow in WEB_TO_DATABASE)

        self.narrator.say("Whoever watches is told why, with file, line and commit:")
        with self.microseg.observing(all_are_told) as lines:
            self.check(WEB_TO_DATABASE, answered=False)
        for flow in WEB_TO_DATABASE:
            self.narrator.result(str(flow), f"reported at {place}", expected=is_told(flow, lines))
        self.narrator.pause()

    def commit(self, text: str, subject: str) -> None:
        """Commit a text, and show what changed."""
        commit = self.repository.commit(policies.FILE, text, subject)
        self.narrator.say(f'Commit {commit}, "{subject}":')
        self.narrator.show(self.repository.last_change())

    def check(self, flows: Sequence[Flow], *, answered: bool) -> None:
        """Try all flows at once, on new connections."""
        with ThreadPoolExecutor(len(flows)) as pool:
            answers = list(pool.map(self.traffic.is_answered, flows))
        for flow, answer in zip(flows, answers, strict=True):
            outcome = "answered" if answer else "no answer"
            self.narrator.result(str(flow), outcome, expected=answer is answered)
        self.narrator.pause()

    def watch(self, transfers: Sequence[Transfer], *, flowing: bool) -> None:
        """See whether data comes back meanwhile."""
        before = [transfer.bytes_returned for transfer in transfers]
        time.sleep(WATCHED_S)
        for transfer, earlier in zip(transfers, before, strict=True):
            came = transfer.bytes_returned - earlier
            outcome = f"{came / 1024:,.0f} KiB in {WATCHED_S} s"
            if flowing:
                outcome += f", longest pause {transfer.longest_pause_s * 1000:.0f} ms"
            steady = came > 0 and transfer.longest_pause_s < LOSS_S
            self.narrator.result(str(transfer.flow), outcome, expected=steady if flowing else came == 0)
        self.narrator.pause()
