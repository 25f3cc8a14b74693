"""Writes the numbers of README and docs into their places, from the results that lie in docs/numbers.

    python -m tools.docs_numbers            # writes what is out of date
    python -m tools.docs_numbers --check    # writes nothing; exit code 1 where something is out of date
    python -m tools.docs_numbers --list mini        # the names that begin so, each with what stands for it

A place in Markdown is what stands between two comments, which no reader sees. The first one has a name:

    it keeps <!-- from mini: madry_lenet eps=0.3 rob 0.3 -->62.3<!-- / --> % of its predictions

Edit the text around it; what is between the comments is overwritten. A table, a paragraph or a block of code has the
comments on lines of their own:

    <!-- from mini: table -->
    whatever stands here
    <!-- / -->

Inside a line a comment must not be the first thing, because Markdown takes the line for HTML then. A number stands
alone: "%" is written beside it. A name is a source and what is taken of it; `--list` shows all, and
tools/docs_sources.py says where they come from. To measure again: put the new results into docs/numbers, run this."""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = re.compile(
    r"<!-- from (?P<name>[^\n]+?) -->(?P<gap>\n?)(?P<text>(?:(?!<!-- from ).)*?)(?P=gap)<!-- / -->", re.DOTALL
)
OPENING = re.compile(r"<!-- from .*?-->|<!--\s*/\s*-->", re.DOTALL)
FIRST_IN_LINE = re.compile(r"^[ \t]*(?:[-*+>] |\d+\. )?[ \t]*<!-- from [^\n]+?-->[^\n]", re.MULTILINE)


def pages() -> list[Path]:
    """README, and every page of docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def written(markdown: str, values: Mapping[str, str], page: str = "") -> str:
    """`markdown` with the value of its name in every place.

    Raises SystemExit where a name is unknown, a comment has no partner, or a line begins with one."""
    left = OPENING.search(PLACE.sub("", markdown))
    if left is not None:
        sys.exit(f"{page}: {left[0]} has no partner")
    first = FIRST_IN_LINE.search(markdown)
    if first is not None:
        sys.exit(f"{page}: a line begins with a comment, and Markdown takes it for HTML: {first[0].strip()}")

    def filled(place: re.Match[str]) -> str:
        if place["name"] not in values:
            near = [name for name in values if name.split()[:2] == place["name"].split()[:2]]
            sys.exit(f"{page}: nothing is called {place['name']!r}; near it: {', '.join(near[:8]) or 'nothing'}")
        value = values[place["name"]]
        gap = "\n" if place["text"] == "\n" else place["gap"]  # the comments of an empty place are on two lines
        if "\n" in value and not gap:
            sys.exit(f"{page}: {place['name']!r} has several lines: its comments stand on lines of their own")
        return f"<!-- from {place['name']} -->{gap}{value}{gap}<!-- / -->"

    return PLACE.sub(filled, markdown)


def named(markdown: str) -> list[str]:
    """The names of the places of a page, in order."""
    return [place["name"] for place in PLACE.finditer(markdown)]


def main() -> int:
    from tools.docs_sources import values

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is out of date")
    parser.add_argument("--list", nargs="?", const="", metavar="START", help="the names that begin with START")
    asked = parser.parse_args()
    known = values()
    if asked.list is not None:
        for name, value in known.items():
            if name.startswith(asked.list):
                print(f"{name}\n    " + value.replace("\n", "\n    "))
        return 0
    old = []
    for path in pages():
        before = path.read_text("utf-8")
        after = written(before, known, path.relative_to(ROOT).as_posix())
        if after != before:
            old.append(path.relative_to(ROOT).as_posix())
            if not asked.check:
                path.write_text(after, encoding="utf-8")
    print("\n".join(f"{'out of date' if asked.check else 'written'}: {page}" for page in old) or "all is up to date")
    return int(asked.check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
