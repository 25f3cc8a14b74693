"""The fields of a class are explained by comments on their lines; the API reference shows them as a table."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
RETURNS = re.compile(r"^Returns:\n +", re.MULTILINE)
COMMENT = re.compile(r"\s#\s+(?!noqa|type:)(.*)$")


class Fields(griffe.Extension):
    """Puts a table of its fields below the docstring of each class: name, type, default, comment on the line."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """`Example:` is a section of code: the parser knows it as `Examples:` alone, and would read Markdown in it. It
        takes what stands before the first colon of `Returns:` for a type, so the type is put there."""
        if obj.docstring:
            obj.docstring.value = EXAMPLE.sub("Examples:", obj.docstring.value)
            kind = obj.returns if obj.is_function else obj.annotation if obj.is_attribute else None
            if kind:
                obj.docstring.value = RETURNS.sub(lambda head: f"{head[0]}{kind}: ", obj.docstring.value)

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """`rate: Array  # [T] float64` becomes a row."""
        public = (field for name, field in cls.attributes.items() if not name.startswith("_"))
        rows = [row(field) for field in public if field.annotation and "property" not in field.labels]
        if rows:
            text = cls.docstring.value if cls.docstring else ""
            table = ["| Field | What it is |", "| --- | --- |", *rows]
            given = (
                {"parser": cls.docstring.parser, "parser_options": cls.docstring.parser_options}
                if cls.docstring
                else {}
            )
            cls.docstring = griffe.Docstring("\n\n".join([text, "\n".join(table)]), parent=cls, **given)


def row(field: griffe.Attribute) -> str:
    """The row of one field, with its type and default below its name."""
    kind = f"{field.annotation} = {field.value}" if field.value else str(field.annotation)
    comment = COMMENT.search(field.lines_collection[field.filepath][field.lineno - 1])
    return f"| **`{field.name}`**<br>`{kind}` | {comment[1] if comment else ''} |"
