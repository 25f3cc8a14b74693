"""Errors of the library name its arguments, as `weights` or seed = 3; those of the command line name its options."""

import re
from typing import Any


def naming_options(text: str, command: Any, words: list[str]) -> str:
    """`text` with every argument that is an option of the command in `words` by the name of that option.

    command: the whole command line, of Click; words: what the user wrote after its name."""
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    for parameter in command.params:
        for option in parameter.opts:
            if option.startswith("--"):
                text = re.sub(rf"`{parameter.name}`|(?<!\S){parameter.name} =", option, text)
    return text
