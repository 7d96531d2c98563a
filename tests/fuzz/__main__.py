"""Coverage-guided fuzzing of lint, fmt and lint --fix, from tests/: `python -m fuzz SECONDS FOLDER`.

The folder gets the corpus as it grows, and crash-*, timeout-* or oom-* for an input that isn't borne. Needs
atheris: `pip install -e '.[fuzz]'`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["microseg"]):
    from fuzz.one_input import check

from fuzz import corpus
from lang.test_fuzz import WORDS

TIMEOUT_S = 30
MEMORY_MB = 1024


def main(seconds: int, folder: Path) -> None:
    """Fuzz for so long; exits with 0 when nothing was found."""
    found = folder / "corpus"
    found.mkdir(exist_ok=True)
    corpus.write(found)
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS))
    options = [
        *(f"-max_total_time={seconds}", f"-max_len={corpus.HIGHEST_SIZE}", f"-dict={words}"),
        *(f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={folder}/"),
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(found)], check)
    atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(
        chr(octet) if chr(octet).isascii() and chr(octet).isalnum() else f"\\x{octet:02x}"
        for octet in word.encode() or b" "
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
