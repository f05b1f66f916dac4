"""`oq completion`."""

from __future__ import annotations

import click

VARIABLE = "_OQ_COMPLETE"
"""Set by the script while the shell asks what may come next."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_(shell: str) -> None:
    """Print a script that makes your shell complete `oq` commands.

    bash: add to ~/.bashrc   eval "$(oq completion bash)"

    zsh: add to ~/.zshrc   eval "$(oq completion zsh)"

    fish: oq completion fish > ~/.config/fish/completions/oq.fish
    """
    from click.shell_completion import get_completion_class

    from oq.cli.app import oq

    found = get_completion_class(shell)
    assert found is not None
    completion = found(oq, {}, "oq", VARIABLE)
    # Not source(): for bash it would start one, to look at its version.
    print(completion.source_template % completion.source_vars())


def complete(instruction: str) -> int:
    """Answer the script: the words that may come next; the exit code."""
    from click.shell_completion import shell_complete

    from oq.cli.app import oq

    return shell_complete(oq, {}, "oq", VARIABLE, instruction)
