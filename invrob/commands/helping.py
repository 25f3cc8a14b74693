"""What `--help` prints: whole words, no line longer than the terminal is wide, and each example on a line to copy.

Typer's own help wraps examples into one another, shows flags as if they took a value, and keeps the line breaks of
docstrings. Commands and groups of this package have the classes below instead; the page of all commands in the docs
is made of the same parts."""

import re
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

HEADING = "Examples:"
WIDEST, NARROWEST = 100, 40  # columns of text, whatever the terminal has
NAMES = 26  # columns of names; a longer one has a line of its own
FACTS, FIXED = re.compile(r"\[[^][]+\]$"), "\0"  # what a parameter takes, and a space at which no line is broken
WORD = r"""(?:"[^"]*"|'[^']*'|[^\s"'])+"""
PIECES = re.compile(rf"[->]\S* (?!-){WORD}|{WORD}")  # an option and its value stay together, as do > and its file


class Command(TyperCommand):
    """A command whose help is `help_text`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        typer.echo(help_text(self, ctx, _columns()))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What follows its name where errors say how it is written."""
        return _usage(self)


class Group(TyperGroup):
    """A group of commands whose help is `help_text`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        typer.echo(help_text(self, ctx, _columns()))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What follows its name where errors say how it is written."""
        return _usage(self)


def examples(*lines: str, note: str = "", cls: type = Command) -> dict[str, Any]:
    """The arguments of `app.command` or `typer.Typer` with which a help ends in examples.

    Args:
        lines: commands that work as they stand here; the help continues long ones with a backslash.
        note: paragraphs that stand before the examples.
        cls: `Command`, or `Group` for what has commands of its own.

    Returns:
        "cls" and "epilog".

    Example:
        >>> from invrob.commands.helping import examples
        >>> examples("invrob data list", "invrob data list --json")["epilog"].splitlines()
        ['Examples:', 'invrob data list', 'invrob data list --json']
    """
    return {"cls": cls, "epilog": "\n".join([f"{note}\n\n{HEADING}" if note else HEADING, *lines])}


def note_and_examples(command: Any) -> tuple[str, list[str]]:
    """What `examples` was given for a command.

    Args:
        command: of Typer.

    Returns:
        The note, "" for none, and the lines.

    Example:
        >>> from typer.main import get_command
        >>> from invrob.cli import app
        >>> note_and_examples(get_command(app).commands["selftest"])[1][0]
        'invrob selftest'
    """
    note, heading, lines = (command.epilog or "").partition(HEADING)
    return note.strip(), lines.split("\n")[1:] if heading else []


def sections(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """What can stand after a command: its arguments, its options by their panels, and the commands below it.

    Args:
        command: of Typer.
        ctx: its context.

    Returns:
        By heading, names such as "--images N" with what they mean.

    Example:
        >>> import typer
        >>> from typer.main import get_command
        >>> from invrob.cli import app
        >>> command = get_command(app)
        >>> sections(command, typer.Context(command))["Options"][0]
        ('--version', 'Print the version and exit.')
    """
    found: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        if not getattr(param, "hidden", False):
            usual = "Options" if param.param_type_name == "option" else "Arguments"
            heading = getattr(param, "rich_help_panel", None) or usual
            found.setdefault(heading, []).append((_name(param), _text(param)))
    if hasattr(command, "commands"):
        below = [command.commands[name] for name in command.list_commands(ctx)]
        found["Commands"] = [(each.name, paragraphs(each)[0]) for each in below if not each.hidden]
    return {heading: entries for heading, entries in found.items() if entries}


def usage(command: Any, ctx: Any) -> str:
    """How a command is written, in short.

    Args:
        command: of Typer.
        ctx: its context.

    Returns:
        Such as "invrob report [OPTIONS] RUN...".

    Example:
        >>> import typer
        >>> from typer.main import get_command
        >>> from invrob.cli import app
        >>> command = get_command(app)
        >>> usage(command, typer.Context(command, info_name="invrob"))
        'invrob [OPTIONS] COMMAND ...'
    """
    return " ".join([_path(ctx), *_usage(command)])


def _usage(command: Any) -> list[str]:
    words = [_name(param) for param in command.params if param.param_type_name == "argument"]
    return ["[OPTIONS]", *words, *(["COMMAND ..."] if hasattr(command, "commands") else [])]


def _path(ctx: Any) -> str:
    """The names of a command and of those above it."""
    above = f"{_path(ctx.parent)} " if ctx.parent else ""
    return f"{above}{ctx.info_name}"


def paragraphs(command: Any) -> list[str]:
    """The help of a command, each paragraph on one line.

    Args:
        command: of Typer.

    Returns:
        At least one, which is empty where there is no help.

    Example:
        >>> from typer.main import get_command
        >>> from invrob.cli import app
        >>> len(paragraphs(get_command(app).commands["data"]))
        1
    """
    return [" ".join(part.split()) for part in (command.help or "").split("\n\n")]


def continued(line: str, width: int, indent: str = "  ") -> str:
    """A command as one can copy it: on one line where it fits, else continued by backslashes.

    Args:
        line: the command.
        width: columns that a line may have, where its words allow it.
        indent: what each line begins with.

    Returns:
        The lines, joined by line breaks.

    Example:
        >>> print(continued("invrob data fetch cifar10 --root /data", 30))
          invrob data fetch cifar10 \\
            --root /data
    """
    made, begin = [""], indent
    for piece in PIECES.findall(line):
        longer = f"{made[-1]} {piece}" if made[-1] else begin + piece
        if made[-1] and len(longer) > width - 2:  # a space and the backslash
            begin = f"{indent}  "
            made.append(begin + piece)
        else:
            made[-1] = longer
    return " \\\n".join(made)


def help_text(command: Any, ctx: Any, width: int) -> str:
    """The help of a command for a terminal.

    Args:
        command: of Typer.
        ctx: its context.
        width: columns.

    Returns:
        Lines of at most that many columns, but for words that are longer; headings and names are styled.

    Example:
        >>> import typer
        >>> from typer.main import get_command
        >>> from invrob.cli import app
        >>> command = get_command(app)
        >>> help_text(command, typer.Context(command, info_name="invrob"), 80).splitlines()[0]
        'Usage: invrob [OPTIONS] COMMAND ...'
    """
    parts = [_filled(f"Usage: {usage(command, ctx)}", width), *(_filled(text, width) for text in paragraphs(command))]
    for heading, entries in sections(command, ctx).items():
        parts.append("\n".join([_bold(f"{heading}:"), *_listed(entries, width)]))
    note, lines = note_and_examples(command)
    parts += [_filled(text, width) for text in note.split("\n\n") if text]
    if lines:
        parts.append("\n".join([_bold(HEADING), *(continued(line, width) for line in lines)]))
    return "\n\n".join(parts)


def _columns() -> int:
    return max(min(shutil.get_terminal_size().columns, WIDEST), NARROWEST)


def _bold(text: str) -> str:
    return typer.style(text, bold=True)


def _filled(text: str, width: int, indent: str = "") -> str:
    kept = FACTS.sub(lambda facts: facts[0].replace(" ", FIXED).replace(f";{FIXED}", "; "), " ".join(text.split()))
    lines = textwrap.wrap(kept, width - len(indent), break_long_words=False, break_on_hyphens=False)
    return "\n".join(indent + line.replace(FIXED, " ") for line in lines)


def _listed(entries: list[tuple[str, str]], width: int) -> Iterator[str]:
    """Names on the left, their texts on the right; below one another on a narrow terminal."""
    names = max((len(name) for name, _ in entries if len(name) <= NAMES), default=0) if width >= 60 else 0
    for name, text in entries:
        indent = " " * (names + 4 if names else 6)
        filled = _filled(text, width, indent)
        styled = f"  {typer.style(name, fg='cyan', bold=True)}"
        if len(name) <= names:
            yield f"{styled}{' ' * (names - len(name) + 2)}{filled.lstrip()}".rstrip()
        else:
            yield f"{styled}\n{filled}" if text else styled


def _name(param: Any) -> str:
    """Such as "--quiet, -q", "--images N" or "RUN..."."""
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    names = ", ".join(sorted([*param.opts, *param.secondary_opts], key=len, reverse=True))
    return names if param.is_flag else f"{names} {param.metavar or 'VALUE'}"


def _text(param: Any) -> str:
    """The help of a parameter with what it takes: whether it must be there, its range, its default."""
    low, high = getattr(param, "min", None), getattr(param, "max", None)
    default = param.default if param.show_default and not getattr(param, "is_flag", False) else None
    listed = default if isinstance(default, (list, tuple)) else [] if default in (None, "") else [default]
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in listed]
    facts = [
        "required" if param.required else "",
        f"{low:g} or more" if low is not None and high is None else "",
        f"{low:g} to {high}" if low is not None and high is not None else "",
        "repeatable" if getattr(param, "multiple", False) else "",
        f"default: {', '.join(texts)}" if texts else "",
    ]
    told = "; ".join(fact for fact in facts if fact)
    return f"{param.help or ''} [{told}]".strip() if told else str(param.help or "")
