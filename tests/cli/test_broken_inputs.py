"""Whatever lies in a policy directory: a diagnostic that says what is wrong, soon and in little memory."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SECONDS = 20
"""Of processor time; the slowest takes two on a small machine."""
MEGABYTES = 400
NOBODY = 65534

GOOD = "group web = 10.1.1.0/24\n\npolicy p {\n  allow any -> web : tcp/80\n}\n"
PROGRAM = Path(sys.executable).parent / "microseg"

Make = Callable[[Path], object]


def text(content: str) -> Make:
    """A file that is what somebody wrote."""
    return data(content.encode())


def data(content: bytes) -> Make:
    def make(folder: Path) -> None:
        (folder / "x.mseg").write_bytes(content)

    return make


def beside(name: str, make: Callable[[Path], object]) -> Make:
    """Something strange beside a good file."""

    def make_both(folder: Path) -> None:
        (folder / "good.mseg").write_text(GOOD)
        make(folder / name)

    return make_both


def listed(content: bytes | None, path: str = "l.netset") -> Make:
    """A policy with an address list."""

    def make(folder: Path) -> None:
        (folder / "x.mseg").write_text(f'group a = file("{path}")\npolicy p {{ allow a -> any }}\n')
        if content is not None:
            (folder / "l.netset").write_bytes(content)

    return make


def outside(folder: Path) -> None:
    target = folder.parent / "secret"
    target.write_text(GOOD)
    (folder / "x.mseg").symlink_to(target)


def linked_list(target: str) -> Make:
    def make(folder: Path) -> None:
        listed(None)(folder)
        (folder / "l.netset").symlink_to(target)

    return make


def loop(path: Path) -> None:
    other = path.with_name("y.mseg")
    path.symlink_to(other)
    other.symlink_to(path)


def folder_loop(path: Path) -> None:
    path.mkdir()
    (path / "again").symlink_to(path)
    (path / "bad.mseg").write_text("group a = 1.2.3.999\npolicy q { deny any -> a }\n")


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def sealed(path: Path) -> None:
    path.write_text(GOOD)
    path.chmod(0)


def closed_folder(path: Path) -> None:
    path.mkdir()
    (path / "x.mseg").write_text(GOOD)
    path.chmod(0)


def many_names(number: int) -> str:
    return "".join(f"group g{index} = g{index + 1}\n" for index in range(number))


CASES: dict[str, tuple[Make, str]] = {
    # Not text.
    "random bytes": (data(bytes(range(256)) * 40), "MS004"),
    "an ELF file": (data(b"\x7fELF\x02\x01\x01" + bytes(900)), "MS004"),
    "gzip": (data(b"\x1f\x8b\x08\x00\xff\xfe" * 300), "MS004"),
    "zero bytes": (data(bytes(100_000)), "MS004"),
    "a zero byte inside": (data(GOOD.encode() + b"\0"), "MS004"),
    "UTF-16 with a mark": (data(GOOD.encode("utf-16")), "MS004"),
    "UTF-16 without one": (data(GOOD.encode("utf-16-le")), "MS004"),
    "UTF-32": (data(GOOD.encode("utf-32")), "MS004"),
    "latin-1": (data(b'policy p { owner "caf\xe9" }\n'), "MS004"),
    "half a character": (data(GOOD.encode() + b"# \xe2\x82"), "MS004"),
    "a surrogate": (data(GOOD.encode() + b"# \xed\xa0\x80"), "MS004"),
    "an overlong slash": (data(GOOD.encode() + b"# \xc0\xaf"), "MS004"),
    # Unseen characters.
    "right to left": (text(GOOD + "# \u202egroup\n"), "MS002"),
    "an isolate in a name": (text("group \u2066web = 10.0.0.1\n"), "MS002"),
    "a left-to-right mark": (text(GOOD.replace("web :", "web\u200e :")), "MS002"),
    "a zero width space": (text(GOOD.replace("web :", "we\u200bb :")), "MS002"),
    "a no-break space": (text(GOOD.replace("any ->", "any\u00a0->")), "MS002"),
    "a byte order mark inside": (text(GOOD.replace("any ->", "any \ufeff->")), "MS002"),
    "an escape sequence": (text(GOOD + "# \x1b[2J\n"), "MS002"),
    "a backspace": (text(GOOD + "# deny\x08\x08\x08\x08\n"), "MS002"),
    "a form feed": (text(GOOD + "\x0c"), "MS002"),
    "old Mac line ends": (text(GOOD.replace("\n", "\r")), "MS002"),
    "a Unicode line end": (text(GOOD.replace("\n", "\u2028")), "MS002"),
    "letters that look alike": (text("group w\u0435b = 10.0.0.1\n"), "MS002"),
    "digits of another script": (text("group a = \u0661\u0660.0.0.1\n"), "MS002"),
    "curly quotes": (text("policy p { owner \u201cme\u201d }\n"), "MS00"),
    # Halves.
    "half a file": (text(GOOD[:-4]), "MS00"),
    "half a word": (text(GOOD + "gro"), "MS001"),
    "half a text": (text('policy p { owner "me'), "MS003"),
    "an open brace": (text("policy p {"), "MS008"),
    "only closing braces": (text("}" * 5000), "MS00"),
    "an open parenthesis": (text("group a = (10.0.0.1\n"), "MS00"),
    "a merge conflict": (text(f"<<<<<<< HEAD\n{GOOD}=======\n{GOOD}>>>>>>> other\n"), "MS001"),
    "a diff": (text("".join(f"+{line}\n" for line in GOOD.splitlines())), "MS002"),
    "another language": (text("-A INPUT -p tcp --dport 22 -j ACCEPT\n" * 50), "MS001"),
    "JSON": (text(json.dumps({"rules": [{"allow": "web"}] * 50}, indent=1)), "MS00"),
    # Large and deep.
    "too large": (text("# " + "x" * (5 << 20)), "MS006"),
    "a sparse terabyte": (beside("big.mseg", sparse), "MS005"),
    "100,000 parentheses": (text("group a = " + "(" * 100_000), "MS007"),
    "100,000 complements": (text("group a = " + "!" * 100_000 + "any\n"), "MS007"),
    "100,000 braces": (text("policy p " + "{" * 100_000), "MS001"),
    "a line of a megabyte": (text("group a = " + "10.0.0.1 | " * 90_000 + "\n"), "MS001"),
    "a word of a megabyte": (text("group " + "a" * (1 << 20)), "MS001"),
    "a number of a megabyte": (text("service a = tcp/" + "9" * (1 << 20) + "\n"), "MS207"),
    "an address of a megabyte": (text("group a = 1." + "9" * (1 << 20) + "\n"), "MS201"),
    "100,000 errors": (text("group\n" * 100_000), "MS009"),
    "100,000 strange signs": (text("$" * 100_000), "MS002"),
    "a cycle of 5,000": (text(many_names(4999) + "group g4999 = g0\n"), "MS106"),
    "an end of 5,000 missing": (text(many_names(5000)), "MS101"),
    # Not files.
    "a folder called x.mseg": (beside("x.mseg", folder_loop), "MS201"),
    "a loop of links": (beside("x.mseg", loop), "MS005"),
    "a link to itself": (beside("x.mseg", lambda path: path.symlink_to(path)), "MS005"),
    "a dangling link": (beside("x.mseg", lambda path: path.symlink_to("nowhere")), "MS005"),
    "a link outside": (outside, "MS005"),
    "a link to /dev/zero": (beside("x.mseg", lambda path: path.symlink_to("/dev/zero")), "MS005"),
    "a pipe": (beside("x.mseg", os.mkfifo), "MS005"),
    "a socket": (beside("x.mseg", lambda path: os.mknod(path, 0o140644)), "MS005"),
    "unreadable": (beside("x.mseg", sealed), "MS005"),
    "a folder in itself": (beside("x", folder_loop), "MS201"),
    "a name that isn't text": (
        beside("\udcff\udcfe.mseg", lambda path: path.write_text("group\n")),
        "MS001",
    ),
    "a name of control characters": (
        beside("\x1b[2J\n.mseg", lambda path: path.write_text("group\n")),
        "MS001",
    ),
    # Address lists.
    "a list that is missing": (listed(None), "MS214"),
    "a binary list": (listed(bytes(5000)), "MS21"),
    "a list of nonsense": (listed(b"nonsense\n" * 100_000), "MS213"),
    "a list of one long line": (listed(b"1" * (1 << 20)), "MS213"),
    "a list outside": (listed(None, "../../etc/passwd"), "MS214"),
    "an absolute list": (listed(None, "/etc/passwd"), "MS214"),
    "a list behind a link": (linked_list("/etc/passwd"), "MS214"),
    "an endless list": (linked_list("/dev/zero"), "MS214"),
    "the folder as a list": (listed(None, "."), "MS214"),
}

FINE: dict[str, Make] = {
    "a byte order mark": data(b"\xef\xbb\xbf" + GOOD.encode()),
    "Windows line ends": text(GOOD.replace("\n", "\r\n")),
    "tabs": text(GOOD.replace(" ", "\t")),
    "no line end": text(GOOD.rstrip("\n")),
    "a hidden file": beside(".x.mseg", lambda path: path.write_text("nonsense")),
    "an editor's copy": beside("x.mseg~", lambda path: path.write_text("nonsense")),
    "an empty folder called x.mseg": beside("x.mseg", Path.mkdir),
    "a comment of a megabyte": text("#" + "x" * (1 << 20) + "\n" + GOOD),
    "a million empty lines": text("\n" * (1 << 20) + GOOD),
}


def limits() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES << 20, MEGABYTES << 20))


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command as an ordinary user: root can read everything."""
    user = NOBODY if os.geteuid() == 0 else None
    for path in (folder, *folder.rglob("*")):
        if user:
            os.chown(path, user, user, follow_symlinks=False)
    return subprocess.run(
        [PROGRAM, *words, folder],
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        user=user,
        group=user,
        extra_groups=[] if user else None,
        preexec_fn=limits,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=SECONDS * 10,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A policy directory that everybody can reach."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    policies = made / "policies.d"
    policies.mkdir()
    yield policies
    for path in policies.iterdir():
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(made)


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 50


@pytest.mark.parametrize("name", CASES)
def test_it_is_said_what_is_wrong(folder: Path, name: str) -> None:
    make, code = CASES[name]
    make(folder)
    done = run(folder, "lint")
    said = done.stdout.decode()
    assert done.returncode == 1, said[-2000:] + done.stderr.decode()[-2000:]
    assert done.stderr == b""
    errors = re.findall(r"^error\[(MS\d+)\]: (.+)$", said, re.MULTILINE)
    assert any(each.startswith(code) for each, _ in errors), said[:2000]
    assert re.search(r"^ *--> .", said, re.MULTILINE)
    assert "The policy is wrong: " in said.splitlines()[-1]
    assert len(said) < 100_000
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]", said)


def test_a_closed_folder_is_named(folder: Path) -> None:
    closed_folder(folder / "x")
    done = run(folder, "lint")
    assert done.returncode == 1
    assert done.stderr.decode() == f"error: {folder}/x: permission denied\n"


@pytest.mark.parametrize("name", FINE)
def test_it_looks_strange_and_is_fine(folder: Path, name: str) -> None:
    FINE[name](folder)
    done = run(folder, "lint")
    assert (done.returncode, done.stderr) == (0, b""), done.stdout[-2000:]


@pytest.mark.parametrize("name", ["a loop of links", "unreadable", "random bytes", "half a file"])
@pytest.mark.parametrize("words", [("fmt",), ("test",), ("lint", "--fix"), ("lint", "--format", "sarif")])
def test_other_commands_say_so_too_and_change_nothing(
    folder: Path, name: str, words: tuple[str, ...]
) -> None:
    make, code = CASES[name]
    make(folder)
    before = {path.name: path.lstat() for path in folder.iterdir()}
    done = run(folder, *words)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 1
    assert code in said
    assert "Traceback" not in said
    after = {path.name: path.lstat() for path in folder.iterdir()}
    assert {name: (it.st_ino, it.st_mtime_ns) for name, it in after.items()} == {
        name: (it.st_ino, it.st_mtime_ns) for name, it in before.items()
    }
