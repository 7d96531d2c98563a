from __future__ import annotations

import pytest
from cli.terminal_session import BROKEN, Session

UGLY = "group a=10.0.0.0/8  # the net\npolicy p{allow a->any}\n"
NICE = "group a = 10.0.0.0/8  # the net\n\npolicy p {\n  allow a -> any\n}\n"
UNREADABLE = "policy { }\n"


def only(session: Session, text: str) -> None:
    for path in session.policies.iterdir():
        path.unlink()
    session.write(text)


def test_files_are_rewritten_once(session: Session) -> None:
    only(session, UGLY)
    (session.policies / "shop.mseg").chmod(0o640)
    assert session.expect(0, "fmt") == "formatted: shop.mseg\n"
    path = session.policies / "shop.mseg"
    assert path.read_text() == NICE
    assert path.stat().st_mode & 0o777 == 0o640
    assert session.expect(0, "fmt") == "Nothing to format.\n"
    assert [each.name for each in session.policies.iterdir()] == ["shop.mseg"]


def test_what_would_change_the_meaning_is_not_written(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(session, UGLY)
    monkeypatch.setattr("microseg.cli.fmt.print_file", lambda _: NICE.replace("allow", "deny"))
    result = session.type("fmt")
    assert isinstance(result.exception, AssertionError)
    assert "nothing was written" in str(result.exception)
    assert (session.policies / "shop.mseg").read_text() == UGLY


def test_check_writes_nothing(session: Session) -> None:
    only(session, UGLY)
    assert session.expect(1, "fmt", "--check") == "not formatted: shop.mseg\n"
    assert (session.policies / "shop.mseg").read_text() == UGLY
    only(session, NICE)
    session.expect(0, "fmt", "--check")


def test_diff_writes_nothing_and_shows_all(session: Session) -> None:
    only(session, UGLY)
    output = session.expect(0, "fmt", "--diff")
    assert "--- shop.mseg\n+++ shop.mseg (formatted)\n" in output
    assert "-policy p{allow a->any}" in output
    assert "+  allow a -> any" in output
    assert (session.policies / "shop.mseg").read_text() == UGLY
    session.expect(1, "fmt", "--diff", "--check")


def test_a_file_with_a_syntax_error_is_left_alone_and_the_others_are_not(session: Session) -> None:
    only(session, UGLY)
    session.write(UNREADABLE, "broken.mseg")
    result = session.type("fmt")
    assert result.exit_code == 1
    assert "error[MS0" in result.stderr
    assert "broken.mseg left as they are" in result.stderr
    assert (session.policies / "broken.mseg").read_text() == UNREADABLE
    assert (session.policies / "shop.mseg").read_text() == NICE


def test_mistakes_of_meaning_do_not_matter(session: Session) -> None:
    session.write(BROKEN)
    session.expect(0, "fmt")


def test_what_a_link_leads_to_is_rewritten_and_the_link_stays(session: Session) -> None:
    only(session, UGLY)
    (session.policies / "folder").mkdir()
    (session.policies / "shop.mseg").rename(session.policies / "folder" / "real.txt")
    (session.policies / "shop.mseg").symlink_to("folder/real.txt")
    session.expect(0, "fmt")
    assert (session.policies / "shop.mseg").is_symlink()
    assert (session.policies / "folder" / "real.txt").read_text() == NICE


def test_json(session: Session) -> None:
    only(session, UGLY)
    session.write(UNREADABLE, "broken.mseg")
    assert session.objects("fmt", "--check", code=1) == {
        "unformatted": ["shop.mseg"],
        "broken": ["broken.mseg"],
    }
