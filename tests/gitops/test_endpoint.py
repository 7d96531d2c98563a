from __future__ import annotations

import pytest

from microseg.gitops.endpoint import endpoint


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("git@git.example.org:policies.git", ("git.example.org", 22)),
        ("git.example.org:policies.git", ("git.example.org", 22)),
        ("[2001:db8::1]:policies.git", ("2001:db8::1", 22)),
        ("ssh://git@git.example.org/policies", ("git.example.org", 22)),
        ("ssh://git@git.example.org:2222/policies", ("git.example.org", 2222)),
        ("https://git.example.org/policies", ("git.example.org", 443)),
        ("http://192.0.2.1:8080/policies", ("192.0.2.1", 8080)),
        ("git://git.example.org/policies", ("git.example.org", 9418)),
        ("file:///srv/policies", None),
        ("/srv/policies", None),
        ("../policies", None),
        ("./a:b", None),
        ("https://git.example.org:many/policies", None),
        ("", None),
    ],
)
def test_where_a_url_leads_to(url: str, found: tuple[str, int] | None) -> None:
    assert endpoint(url) == found
