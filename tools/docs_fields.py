"""The fields of a class are explained by comments on their lines; the API reference shows them as a table."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
COMMENT = re.compile(r"\s#\s+(?!noqa|type:)(.*)$")


class Fields(griffe.Extension):
    """Puts a table of its fields below the docstring of each class: name, type, default, comment on the line."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """`Example:` is a section of code: the parser knows it as `Examples:` alone, and would read Markdown in it."""
        if obj.docstring:
            obj.docstring.value = EXAMPLE.sub("Examples:", obj.docstring.value)

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """`rate: Array  # [T] float64` becomes a row."""
        rows = [row(field) for field in cls.attributes.values() if field.annotation and "property" not in field.labels]
        if rows:
            text = cls.docstring.value if cls.docstring else ""
            table = ["| field | type | |", "| --- | --- | --- |", *rows]
            cls.docstring = griffe.Docstring("\n\n".join([text, "\n".join(table)]), parent=cls)


def row(field: griffe.Attribute) -> str:
    """The row of one field, with its default."""
    kind = f"{field.annotation} = {field.value}" if field.value else str(field.annotation)
    comment = COMMENT.search(field.lines_collection[field.filepath][field.lineno - 1])
    return f"| `{field.name}` | `{kind}` | {comment[1] if comment else ''} |"
