"""What a hook of git says about a policy, to whoever commits or pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.analysis.review import review
from microseg.cli import terminal
from microseg.cli.clock import now
from microseg.diagnostics import summary
from microseg.gitops import revisions
from microseg.render import render_text

if TYPE_CHECKING:
    from pathlib import Path

    from microseg.analysis.taste import Taste
    from microseg.gitops.pushes import Candidate


def is_good(repository: Path, folder: str, candidate: Candidate, taste: Taste) -> bool:
    """Judge the policy of a commit or of what is staged; says on standard error what is wrong with it.

    Standard error is what git shows to whoever pushes. Raises GitError.
    """
    with revisions.open_object(repository, candidate.name, folder) as tree:
        if not tree.policy_paths():
            terminal.fail(f"{candidate.what}: there is no policy file (*.mseg) in {folder or '.'}")
            return False
        examination = review(tree, now().date(), taste)
    compilation = examination.compilation
    wrong = [each for each in compilation.diagnostics if each.is_error] + list(examination.failures)
    if not wrong:
        return True
    color = terminal.colors(terminal.Stream.ERROR)
    click.echo(render_text(wrong, compilation.sources, color=color), err=True, color=color)
    terminal.fail(f"the policy of {candidate.what} ({candidate.name[:10]}) is refused: {summary(wrong)}")
    codes = sorted({each.code.value for each in wrong})
    terminal.remark("try", f"correct it; microseg explain {codes[0]}")
    return False
