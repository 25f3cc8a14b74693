"""Reading a file of torch.export without running what is in it.

`torch.export.load` alone is not safe (PyTorch 2.9 to 2.15, read in its source): it unpickles tensors marked
`use_pickle` and opaque objects, falls back to a free unpickling of sample inputs, opens compiled libraries of
AOTInductor, evaluates symbolic sizes by `sympy.sympify`, which is `eval`, imports modules that a pytree names, resolves
operators by any name below `torch`, and `exec`s guards. So the archive is looked through first, by PyTorch's own reader
and on the very bytes that are then loaded: everything that is not plain tensors and a graph of ATen operators is
refused. Guards are dropped, and the shape of the images is checked by `adapters` instead."""

import io
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from invrob.errors import InputError

MEMBERS = re.compile(
    r"data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)|"
    r"data/sample_inputs/model\.pt|models/model\.json|archive_format|archive_version|byteorder|version|"
    r"\.format_version|\.storage_alignment|\.data/\w+"
)
OPERATORS = re.compile(
    r"torch\.ops\.(?:aten(?!\.(?:from_file|save|load)\b)|prims|quantized|quantized_decomposed)\.\w+(?:\.\w+)?"
    r"|torch\.sym_(?:int|float|max|min|not|ite|sqrt)|math\.[a-z]\w*"
    r"|_operator\.(?:getitem|add|sub|mul|truediv|floordiv|mod|neg|pos|abs|pow|eq|ne|lt|le|gt|ge|and_|or_)"
)
SYMBOL = re.compile(r"[szu]\d+|zuf\d+|true|false|True|False|oo|int_oo")
DECLARED = re.compile(r"Symbol\('[szu]\w*\d'(?:, [a-z]+=(?:True|False))*\)")
FUNCTIONS = re.compile(
    "Integer|Rational|Add|Mul|Pow|Abs|Max|Min|Mod|PythonMod|FloorDiv|CeilDiv|CleanDiv|IntTrueDiv|FloatTrueDiv|"
    "ModularIndexing|PowByNatural|TruncToInt|FloorToInt|CeilToInt|RoundToInt|ToFloat|Identity|Where|And|Or|Not|Eq|Ne|"
    "Lt|Le|Gt|Ge|Equality|Unequality|StrictLessThan|StrictGreaterThan|LessThan|GreaterThan"
)
TREES = re.compile(r'"type": ?"(?!builtins\.(?:tuple|list|dict)")')
WHAT_IS_READ = "only plain tensors and graphs of ATen operators are read, since anything else could run code"


def read_pt2(content: bytes, name: str, device: torch.device) -> tuple[nn.Module, list[int | None]]:
    """The network in a file of `torch.export.save`, on `device`, and the shape of its input, None where it is free.

    content: the bytes of the file; name: what the errors call it. Raises InputError for a file that is damaged, or
    holds anything that could run code."""
    _check_archive(content, name)
    from torch.export.passes import move_to_device_pass

    try:
        program = torch.export.load(io.BytesIO(content))
        program = move_to_device_pass(program, device)
        network = program.module(check_guards=False)
    except Exception as error:  # the reader has no error of its own
        raise InputError(f"{name} cannot be read ({_line(error)}): export it again with this torch") from error
    inputs = [node.meta["val"] for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor):
        raise InputError(f"{name} takes {len(inputs)} inputs, not images [N, C, H, W] alone: export such a model")
    return network, [size if isinstance(size, int) else None for size in inputs[0].shape]


def _check_archive(content: bytes, name: str) -> None:
    try:
        reader = torch._C.PyTorchFileReader(io.BytesIO(content))
        members = reader.get_all_records()
    except RuntimeError as error:
        raise InputError(f"{name} is no file of torch.export ({_line(error)})") from error
    for member in members:
        if not MEMBERS.fullmatch(member):
            raise InputError(f"{name} holds {member!r}, which is not read: {WHAT_IS_READ}")
    for member in members:
        if member.endswith(".json"):
            try:
                json.loads(reader.get_record(member), object_pairs_hook=partial(_checked, f"{name}: {member}"))
            except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
                raise InputError(f"{name} is damaged ({_line(error)})") from error
    _check_sample_inputs(reader, members, name)


def _check_sample_inputs(reader: Any, members: list[str], name: str) -> None:
    for member in members:
        if member.startswith("data/sample_inputs/") and (content := reader.get_record(member)):
            try:
                torch.load(io.BytesIO(content), weights_only=True)
            except Exception as error:  # pickle and torch raise many kinds for what they refuse
                raise InputError(f"{name}: {member} holds Python objects, which are never unpickled") from error


def _checked(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises InputError where it holds a value that the loader of torch.export would run."""
    for key, value in pairs:
        if key in HARMLESS and not HARMLESS[key](value):
            raise InputError(f"{where} has {key} = {str(value)[:80]!r}: {WHAT_IS_READ}")
    return dict(pairs)


def _is_operator(target: Any) -> bool:
    return not isinstance(target, str) or bool(OPERATORS.fullmatch(target))


def is_arithmetic(expression: str) -> bool:
    """Whether a size is made of sizes, numbers, arithmetic and known functions alone."""
    expression = DECLARED.sub("1", expression)
    words = re.findall(r"[^\W\d]\w*", expression)
    rest = re.sub(r"[^\W\d]\w*|\d+(\.\d+)?", "", expression)
    known = all(SYMBOL.fullmatch(word) or FUNCTIONS.fullmatch(word) for word in words)
    return known and set(rest) <= set(" +-*/%(),<>=&|~!")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


HARMLESS: dict[str, Callable[[Any], object]] = {  # by the key: whether the loader would not run the value
    "use_pickle": lambda value: value is False,
    "path_name": lambda value: re.fullmatch(r"(weight|tensor)_\d+", str(value)),
    "target": _is_operator,
    "as_operator": _is_operator,
    "expr_str": lambda value: is_arithmetic(str(value)),
    "in_spec": lambda value: not TREES.search(str(value)),
    "out_spec": lambda value: not TREES.search(str(value)),
    "treespec_namedtuple_fields": lambda value: not value,
    "as_custom_obj": lambda value: False,
}
