"""The fenced blocks of the documentation, and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")], key=lambda path: path.as_posix()
)
SHELL = {"bash", "sh", "console"}  # these and python are run; text, and blocks of no language, are only parsed
FENCE = re.compile(r"^```(?P<head>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    page: str  # below the root of the repository
    line: int  # of the first line inside
    language: str
    title: str  # the name of the file that the block shows, or ""
    text: str

    @property
    def script(self) -> str:
        """What a reader types of it: in a console block the lines after a prompt, else everything."""
        if self.language != "console":
            return self.text
        return "".join(line[2:] for line in self.text.splitlines(True) if line.startswith(("$ ", "> ")))

    @property
    def output(self) -> list[str]:
        """What a console block shows below its commands."""
        return [line for line in self.text.splitlines() if not line.startswith(("$ ", "> "))]


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    content, found = path.read_text("utf-8"), []
    for fence in FENCE.finditer(content):
        language, _, rest = fence["head"].strip().partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        line = content.count("\n", 0, fence.start("text")) + 1
        page = path.relative_to(ROOT).as_posix()
        found.append(Block(page, line, language, title[1] if title else "", fence["text"]))
    return found


def prose(path: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", path.read_text("utf-8"))


def commands(script: str) -> list[list[str]]:
    """The simple commands of a shell script as lists of words: no comments, redirections, variables or here-documents.

    Of `A && B | C > file` these are A, B and C."""
    script = re.sub(r"<<-?\s*'?(\w+)'?\n.*?^\1$", "", script, flags=re.MULTILINE | re.DOTALL).replace("\\\n", " ")
    found: list[list[str]] = []
    for line in script.splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        try:
            for word in [*lexer, ";"]:
                if set(word) <= set(";&|()"):
                    found += [words] if words else []
                    words = []
                else:
                    words.append(word)
        except ValueError:  # output that is no shell, or a quotation of several lines
            assert not line.startswith(("invrob ", "$ invrob ")), line
    simple = (_without_redirections(words) for words in found)
    return [words for words in simple if words]


def _without_redirections(words: list[str]) -> list[str]:
    for index, word in enumerate(words):
        if set(word) <= set("<>"):
            words = words[: index - (words[index - 1] in {"1", "2"})]
            break
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words
