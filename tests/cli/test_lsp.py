from __future__ import annotations

import pytest
from cli.terminal_session import Session


def test_without_pygls_it_says_what_to_install(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microseg.cli.lsp.find_spec", lambda _: None)
    result = session.type("lsp")
    assert result.exit_code == 64
    assert "pip install 'microseg[lsp]'" in result.stderr
