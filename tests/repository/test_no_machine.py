"""Nothing in the tree depends on the machine it was written on."""

from __future__ import annotations

import re

from tree import text_of, tracked

BINARY = {".gz", ".pcap", ".png"}
OF_SOME_MACHINE = re.compile(
    r"""(?<![\w.])/(?:home|root|work)/\w  # somebody's folder
      | \bpypi\.|pythonhosted|deb\.debian|debian\.org/debian  # a registry
      | \.pyenv|\blocalhost:\d
    """,
    re.VERBOSE,
)


def test_no_machine_paths_or_registry_hosts() -> None:
    found = [
        f"{path}: {match.group()}"
        for path in tracked()
        if path.suffix not in BINARY
        for match in OF_SOME_MACHINE.finditer(text_of(path))
        if path.name != "test_no_machine.py"
    ]
    assert found == []


def test_the_pattern_finds_them() -> None:
    assert OF_SOME_MACHINE.search("cd /home/ann/src")
    assert OF_SOME_MACHINE.search("pip install -i " + "https://pypi.example/simple")
    assert not OF_SOME_MACHINE.search("docs/work/notes, /var/lib/microseg, /sys/fs/bpf")
