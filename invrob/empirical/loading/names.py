"""Names of tensors in a file, and in the network that they are for: the same but for what wrappers put into them.

DataParallel, torch.compile and the like put a word of their own into every name below them, and training scripts keep a
network as an attribute of something larger. Both are taken off here; which of the possible ways is right, `fitting`
decides by loading."""

from collections.abc import Iterable

from torch import nn

WRAPPERS = frozenset(  # words that only a wrapper puts into a name
    ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "_ddp_module")
)
ATTRIBUTES = frozenset(  # names of an attribute that holds a network
    ("model", "net", "network", "backbone", "base_model", "wrapped", "_model", "_net")
)
STATES = ("state_dict", "model_state_dict", "net_state_dict", "model_state", "model_dict", "weights", "params", "state")
AVERAGES = ("ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "params_ema", "averaged_model")
PARTS = ("encoder", "classifier", "student")
HOLDERS = WRAPPERS | ATTRIBUTES | {*STATES, *AVERAGES, *PARTS}  # all that a network is usually kept under


class Names:
    """How the tensors and the modules of a network are called, with and without some words.

    Args:
        network: whose names they are.
        expected: the names of its tensors.
        words: taken off wherever they stand in a name, in the network's own names as well.
    """

    def __init__(self, network: nn.Module, expected: Iterable[str], words: frozenset[str]) -> None:
        self.words, self.expected = words, frozenset(expected)
        self._tensors: dict[str, str] = {}
        plain = [self._plain(name) for name in self.expected]
        if len({*plain}) == len(plain):  # else the words are needed to tell tensors apart
            self._tensors = dict(zip(plain, self.expected, strict=True))
        paths = sorted((name for name, _ in network.named_modules(remove_duplicate=False)), key=len)
        self._modules = {self._plain(path): path for path in paths}  # of a wrapper and what is in it, the latter
        self._known: dict[str, str] = {}

    def tensor(self, name: str) -> str:
        """The name that the network has for the tensor `name` of a file.

        Where it has none, the name without these words in the module that the file means: a hook of that module may
        know it, such as the "weight_g" of before parametrizations."""
        if name not in self._known:
            plain = self._plain(name)
            path, _, last = plain.rpartition(".")
            inside = f"{self._modules[path]}.{last}".removeprefix(".") if path in self._modules else name
            self._known[name] = name if name in self.expected else self._tensors.get(plain, inside)
        return self._known[name]

    def module(self, path: str) -> str:
        """The path that the network has for the module `path` of a file."""
        known: str = self._modules.get(self._plain(path), path)
        return known

    def _plain(self, name: str) -> str:
        return ".".join(part for part in name.split(".") if part not in self.words)


def beginnings(name: str) -> list[str]:
    """Everything that a prefix of a name can be: "", and what ends in a dot."""
    return ["", *(name[: place + 1] for place, character in enumerate(name) if character == ".")]
