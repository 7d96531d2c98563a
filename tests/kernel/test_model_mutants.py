"""The model-based test finds planted faults: each is one line of the programs, changed in a copy of them.

Two of them in `make test`, all in `make test-all` (MICROSEG_TEST_FULL=1).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import Phase
from kernel.planted_faults import Fault, each, planted
from kernel.test_model import play
from long_runs import is_long

pytestmark = pytest.mark.compiles
SEQUENCES = 1500
"""Most need fewer than twenty, a few some hundred."""


IN_EVERY_RUN = (
    Fault(
        "wrong TCP transition: the server's packet ends the handshake",
        "states.h",
        "\t\treturn MS_STATE_ANSWERED;\n\t}\n",
        "\t\treturn MS_STATE_STEADY;\n\t}\n",
    ),
    Fault(
        "forgotten generation check on the hot path",
        "session.h",
        "session->generation == generation && session->state",
        "session->state",
    ),
)
IN_LONG_RUNS = (
    Fault(
        "flow cache: a line speaks under any policy",
        "flow_cache.h",
        "return line->generation == generation && ((line->life",
        "return line->generation && ((line->life",
    ),
    Fault(
        "flow cache: a line speaks for ever",
        "flow_cache.h",
        "((line->life - now) & MS_LINE_UNTIL) - 1 < MS_LINE_LONGEST",
        "1",
    ),
    Fault(
        "flow cache: counts are handed in twice",
        "flow_cache.h",
        "\tline->life &= MS_LINE_UNTIL;\n\tline->bytes = 0;\n\tif",
        "\tif",
    ),
    Fault(
        "flow cache: counts get lost",
        "flow_cache.h",
        "\t\tms_line_give(line, session);\n\telse",
        "\t\t;\n\telse",
    ),
    Fault(
        "flow cache: a line outlives the end of its connection",
        "filter.h",
        "\t\t\tms_fetch_next(family, packet);\n\t\t\tms_flow_end(family, packet, seat);\n",
        "\t\t\tms_fetch_next(family, packet);\n",
    ),
    Fault(
        "forgotten generation check behind it",
        "judge.h",
        "if (session->generation == scratch->generation) {",
        "if (1) {",
    ),
    Fault(
        "wrong TCP transition: whatever a client acknowledges ends the handshake",
        "states.h",
        "!handshake || ms_meets_challenge(frame, session, packet) ?",
        "1 ?",
    ),
    Fault(
        "wrong TCP transition: half-closed is not told from open",
        "states.h",
        "session->flags & MS_BOTH_FIN ? MS_STATE_CLOSING : state",
        "(session->flags & MS_BOTH_FIN) == MS_BOTH_FIN ? MS_STATE_CLOSING : state",
    ),
    Fault(
        "wrong TCP transition: any reset before the answer closes",
        "states.h",
        "from_server && !adopted && !(packet->signal & MS_SIGNAL_ACK)",
        "0",
    ),
    Fault("a forged reset closes for good", "states.h", "if (!(session->flags & aborted) ||", "if (1 ||"),
    Fault(
        "forgotten log flag",
        "judge.h",
        "session->flags = (session->flags & ~MS_SESSION_LOG) | ms_log_flag(&scratch->search);",
        "",
    ),
    Fault(
        "wrong direction: the sender's packet is judged again, not the opener's",
        "judge.h",
        "ms_ask(scratch, (session->flags & MS_SESSION_CLIENT_IS_SECOND) != 0);",
        "ms_ask(scratch, packet->reversed);",
    ),
    Fault(
        "wrong direction: the counts change sides",
        "session.h",
        "\tif (server) {",
        "\tif (!server) {",
    ),
    Fault("the server may open too", "judge.h", "\t\tscratch->alone = 1;\n\telse\n", "\t\t;\n\telse\n"),
    Fault(
        "forgotten idle limit: that of the state before stays",
        "states.h",
        "\tsession->idle_limit = ms_idle_limit(settings, packet->protocol, next, session->flags);\n",
        "",
    ),
    Fault(
        "forgotten idle limit: sessions live for ever",
        "judge.h",
        "if (session && ms_session_expired(session, scratch->now)) {",
        "if (0) {",
    ),
    Fault(
        "forgotten last packet: a session ages however busy it is",
        "session.h",
        "if ((__s64)(now - session->last_seen) > 0)",
        "if (!session->last_seen)",
    ),
    Fault("forgotten deadline", "filter.h", "if (!deadline || ms_boot_s() < deadline)", "if (1)"),
    Fault(
        "a connection in progress is taken over in one direction only",
        "judge.h",
        "if (rest->adopt && !rest->attempt && !ms_passes(&rest->search)) {",
        "if (0) {",
    ),
    Fault(
        "revoked, but its session stays",
        "judge.h",
        "\t\tms_session_delete(&scratch->packet);\n\t\treturn",
        "\t\treturn",
    ),
    Fault(
        "an established session stays among the opening ones",
        "states.h",
        "ms_session_store(packet, session) == 0)\n\t\tms_opening_end(packet);",
        "ms_session_store(packet, session) == 0)\n\t\t;",
    ),
)


@each(*IN_EVERY_RUN, *(IN_LONG_RUNS if is_long() else ()))
def test_the_model_finds_a_planted_fault(fault: Fault, bpffs: Path, tmp_path: Path) -> None:
    with planted(fault, bpffs / "mutant", tmp_path) as lab, pytest.raises(AssertionError):
        play(lab, SEQUENCES, phases=(Phase.generate,))
