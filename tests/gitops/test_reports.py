"""Reporting back: a webhook and notes, neither of which can disturb the agent."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from gitops.agent_world import Clone, git, policy

from microseg.agent_settings import read_agent_settings
from microseg.gitops.errors import GitError
from microseg.gitops.notes import NOTES, Notes
from microseg.gitops.record import AgentRecord, Attempt, Candidate, Cycle, Observation, Reason, Try
from microseg.gitops.reporter import WAITING, Reporter
from microseg.gitops.reports import Report, report_of
from microseg.gitops.webhook import SIGNATURE, Webhook, WebhookError
from microseg.reconcile.records import Outcome
from microseg.reconcile.revision import Revision

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def attempt(commit: str = "c" * 40, outcome: Outcome = Outcome.DONE, **more: Any) -> Attempt:
    candidate = Candidate(commit, Revision(commit, "a policy"))
    return Attempt(
        candidate, more.pop("reason", Reason.NEW), NOW, outcome, generation=7, duration_ms=40, **more
    )


def report(commit: str = "c" * 40, host: str = "web1", **more: Any) -> Report:
    made = report_of(attempt(commit, **more), host)
    assert made is not None
    return made


def cycle(of: Attempt) -> Cycle:
    return Cycle(Observation(NOW), Try(of.candidate, of.reason), AgentRecord(), of)


class Listener(BaseHTTPRequestHandler):
    """Answers what the test wants and remembers what came."""

    answers: list[int]
    heard: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).heard.append((dict(self.headers), body))
        self.send_response(self.answers.pop(0) if self.answers else 200)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    do_GET = do_POST  # noqa: N815  a redirect would come as one

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[tuple[str, type[Listener]]]:
    handler = type("OwnListener", (Listener,), {"answers": [], "heard": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", handler
        server.shutdown()
        thread.join()


def test_a_request_says_how_it_went_and_is_signed(
    listener: tuple[str, type[Listener]], tmp_path: Path
) -> None:
    url, handler = listener
    (tmp_path / "secret").write_text("key\n")
    Webhook(url, 10, tmp_path / "secret").send(report())
    ((headers, body),) = handler.heard
    assert headers["Content-Type"] == "application/json"
    assert headers[SIGNATURE] == "sha256=" + hmac.new(b"key", body, hashlib.sha256).hexdigest()
    said = json.loads(body)
    assert (said["format"], said["host"], said["commit"], said["outcome"]) == (1, "web1", "c" * 40, "done")
    assert (said["generation"], said["at"], said["quarantined"]) == (7, "2026-03-01T00:00:00+00:00", False)


@pytest.mark.parametrize(
    ("answer", "lasting"), [(500, False), (429, False), (404, True), (302, True), (307, True)]
)
def test_a_refusal_is_told_from_what_may_pass_and_no_redirect_is_followed(
    listener: tuple[str, type[Listener]], answer: int, *, lasting: bool
) -> None:
    url, handler = listener
    handler.answers.append(answer)
    with pytest.raises(WebhookError, match=str(answer)) as caught:
        Webhook(url, 10).send(report())
    assert caught.value.lasting is lasting
    assert len(handler.heard) == 1


def test_nobody_there_no_secret_and_no_answer(tmp_path: Path, listener: tuple[str, type[Listener]]) -> None:
    for webhook in (
        Webhook("http://127.0.0.1:1/", 10),
        Webhook(listener[0], 10, tmp_path / "none"),
        Webhook("http://[::1", 10),
    ):
        with pytest.raises((WebhookError, ValueError)):
            webhook.send(report())


def test_a_request_is_tried_again_and_then_given_up(listener: tuple[str, type[Listener]]) -> None:
    url, handler = listener
    said: list[str] = []
    reporter = Reporter("web1", said.append, Webhook(url, 10), None, (0.01, 0.01))
    handler.answers += [500, 503, 200, 500, 500, 500, 404]
    for _ in range(3):
        reporter.ended(cycle(attempt()))
    until = time.monotonic() + 60
    while len(handler.heard) < 7 and time.monotonic() < until:
        time.sleep(0.01)
    reporter.stopped(AgentRecord())
    assert len(handler.heard) == 7
    assert len(said) == 2
    assert "500" in said[0]
    assert "404" in said[1]


def test_a_slow_receiver_delays_nobody() -> None:
    class Slow:
        began, go_on = threading.Event(), threading.Event()

        def send(self, _: Report) -> None:
            self.began.set()
            self.go_on.wait(60)

    slow, said = Slow(), list[str]()
    reporter = Reporter("web1", said.append, slow, None)  # type: ignore[arg-type]  # all that is asked of one
    began = time.monotonic()
    reporter.ended(cycle(attempt()))
    assert slow.began.wait(60)
    for _ in range(WAITING + 2):
        reporter.ended(cycle(attempt()))
    assert time.monotonic() - began < 30
    assert said == [f"a report is lost: {WAITING} others wait already"] * 2
    slow.go_on.set()
    reporter.stopped(AgentRecord())


def test_what_is_not_worth_a_report() -> None:
    assert report_of(attempt(outcome=Outcome.UNCHANGED, reason=Reason.DAY), "web1") is None
    assert report_of(attempt(outcome=Outcome.UNCHANGED, reason=Reason.NEW), "web1") is not None
    assert report_of(attempt(outcome=Outcome.DONE, reason=Reason.DRIFT), "web1") is not None
    dirty = Candidate("files:x", Revision("c" * 40, "a policy", dirty=True))
    made = report_of(Attempt(dirty, Reason.NEW, NOW, Outcome.DONE), "web1")
    assert made is not None
    assert made.commit == ""


def notes_of(repository: Path, commit: str) -> list[str]:
    return [line for line in git(repository, "notes", f"--ref={NOTES}", "show", commit).splitlines() if line]


def test_notes_stand_at_the_commit(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    commit = clone.push(policy(1))
    notes = Notes(clone.root, "", 60)
    failed = report(commit, outcome=Outcome.REFUSED, message="shop.mseg:1:1: MS001\n\nmore")
    notes.write(failed)
    notes.write(report(commit))
    assert notes_of(clone.root, commit) == [
        "2026-03-01T00:00:00+00:00 web1 refused: shop.mseg:1:1: MS001 more",
        "2026-03-01T00:00:00+00:00 web1 done: generation 7",
    ]
    assert "refs/notes" not in git(clone.root, "ls-remote", str(clone.bare))
    notes.write(report(""))
    with pytest.raises(GitError):
        notes.write(report("no commit"))


def test_hosts_that_push_notes_keep_each_others(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    commit = clone.push(policy(1))
    hosts = []
    for name in ("web1", "web2", "web3"):
        git(tmp_path, "clone", "--quiet", "--bare", str(clone.bare), str(tmp_path / name))
        hosts.append((name, Notes(tmp_path / name, str(clone.bare), 60)))
    for name, notes in hosts:
        notes.write(report(commit, name))
    assert [line.split()[1] for line in notes_of(clone.bare, commit)] == ["web1", "web2", "web3"]
    for name, notes in hosts:
        notes.write(report(commit, name, outcome=Outcome.FAILED, message="x"))
    assert len(notes_of(clone.bare, commit)) == 6


def test_a_note_that_cannot_be_pushed_is_complained_about(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    commit = clone.push(policy(1))
    said: list[str] = []
    reporter = Reporter("web1", said.append, None, Notes(clone.root, str(tmp_path / "gone.git"), 60))
    reporter.ended(cycle(attempt(commit)))
    reporter.stopped(AgentRecord())
    assert len(said) == 1
    assert said[0].startswith("no note of it: git ls-remote:")
    assert notes_of(clone.root, commit)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"webhook": "file:///etc/passwd"}, "webhook: 'file:///etc/passwd' is not an address"),
        ({"webhook": "--x"}, "not an address"),
        ({"notes": "everywhere"}, "not one of off, local, push"),
        ({"notes": "push"}, "without a remote"),
    ],
)
def test_settings_that_cannot_be_meant(table: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_agent_settings(table, tmp_path)
    read = read_agent_settings({"webhook": "https://x/", "webhook_secret": "s"}, tmp_path)
    assert read.webhook_secret == tmp_path / "s"
