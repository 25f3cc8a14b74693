"""The network in a file of weights: found by its names, and taken where `load_state_dict` takes it.

A file may hold more than one network, and names that a wrapper has made longer. Every prefix under which the tensors of
the network could lie is tried. One that fits is taken, and what is left is said; of several that differ none is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from invrob.empirical.loading.names import ATTRIBUTES, HOLDERS, WRAPPERS, Names, beginnings
from invrob.empirical.loading.normalisers import Normaliser, is_of_a_normaliser, normalisers_in
from invrob.empirical.loading.tensors import described, equal, listed, same, same_kind, shape
from invrob.empirical.loading.trials import Verdict, load, tried
from invrob.empirical.loading.weights import State, Stored
from invrob.errors import InputError, did_you_mean

COUNTED = ("n_averaged", "total_ops", "total_params", "rng_state")
CRITERIA = ("criterion", "criterions", "loss", "loss_fn", "loss_func", "loss_function", "train_loss", "val_loss")
METRICS = ("metric", "metrics", "train_metrics", "val_metrics", "accuracy", "train_acc", "val_acc", "test_acc")
BESIDES = frozenset((*COUNTED, *CRITERIA, *METRICS))  # what training leaves in a state dict; no output depends on it
MOST = 24  # prefixes that are tried
SHOWN = 4  # of those that fit, in an error


@dataclass(frozen=True)
class Taken:
    """What a network has taken of a file: the tensors below `prefix`.

    left: the names of the others; normalisers: those among them, where the network has none of its own."""

    prefix: str
    left: tuple[str, ...]
    normalisers: tuple[Normaliser, ...]

    def note(self, file: str) -> str:
        """One line for the reader of the numbers, "" where there is nothing to say."""
        used = {tensor for normaliser in self.normalisers for tensor in normaliser.names}
        left = [tensor for tensor in self.left if tensor not in used]
        below = f"the tensors below {self.prefix!r} of {file} are taken" if self.prefix else f"{file} is taken"
        return f"{below}; left out: {listed(left)}" if left else ""


@dataclass(frozen=True)
class Candidate:
    """The tensors below `prefix`, by the names of the network, and what loading them gave."""

    prefix: str
    sources: Mapping[str, str]  # name in the network -> name in the file
    verdict: Verdict
    misfits: tuple[str, ...]  # tensors of another kind, and of another shape where the network raised
    unexpected: tuple[str, ...]  # by the names of the network

    @property
    def fits(self) -> bool:
        return self.verdict.is_whole and not self.misfits and not self.unexpected


def put_weights(network: nn.Module, state: Stored | State, name: str, prefix: str = "") -> Taken:
    """Load the tensors of `network` out of a file; every one of them, as `load_state_dict` would.

    state: what the file holds; name: what the errors call it; prefix: with which the names of the network begin in the
    file, "" to find out. Raises InputError where the tensors do not fit, or where several networks do; the network is
    then as it was."""
    stored = state if isinstance(state, Stored) else Stored(state)
    expected = network.state_dict()
    starts = _starts(stored, prefix, name)
    candidates: list[Candidate] = []
    for words in (WRAPPERS, WRAPPERS | ATTRIBUTES):
        names = Names(network, expected, words)
        candidates += _tried(network, stored, names, expected, _prefixes(stored, names, starts))
        fits = [candidate for candidate in candidates if candidate.fits]
        if fits:
            break
    else:
        raise InputError(_about_misfit(min(candidates, key=_lack), expected, name))
    if prefix:  # what lies deeper is part of that network
        fits = [min(fits, key=lambda candidate: len(candidate.prefix))]
    chosen, left = _the_one(fits, stored, name)
    _check_left(chosen, left, bool(prefix), name)
    load(network, chosen.verdict.state)
    own = normalisers_in({key: value for key, value in expected.items() if isinstance(value, Tensor)})
    found = () if own else normalisers_in({key: stored.tensors[key] for key in left})
    return Taken(chosen.prefix, tuple(left), found)


def _starts(stored: Stored, prefix: str, name: str) -> tuple[str, ...]:
    """Where the names of the network may begin: below `prefix`, in any of the dicts of the file."""
    if not prefix:
        return ("",)
    prefix = prefix.removesuffix(".") + "."
    starts = tuple(f"{folder}{prefix}" for folder in stored.folders)
    starts = tuple(start for start in starts if any(key.startswith(start) for key in stored.tensors))
    if not starts:
        known = dict.fromkeys(start for key in stored.tensors for start in beginnings(key)[1:3])
        near = did_you_mean(prefix, known)
        raise InputError(
            f"prefix = {prefix!r} begins no name in {name}{near}: its names begin with {', '.join([*known][:6])}"
        )
    return starts


def _prefixes(stored: Stored, names: Names, starts: tuple[str, ...]) -> list[str]:
    """The prefixes under which the network could lie, at most MOST of them; the likeliest first."""
    found: dict[str, set[str]] = {}
    for key in stored.tensors:
        for beginning in beginnings(key):
            if beginning.startswith(starts):
                hit = names.tensor(key.removeprefix(beginning))
                found.setdefault(beginning, set()).update({hit} & names.expected)
    best = max((len(hits) for hits in found.values()), default=0)
    known = [p for p, hits in found.items() if 2 * len(hits) >= max(best, 1) or {*p.split(".")[:-1]} <= HOLDERS]
    return sorted(known, key=lambda p: (-len(found[p]), len(p)))[:MOST] or [starts[0]]


def _tried(
    network: nn.Module, stored: Stored, names: Names, expected: State, prefixes: list[str]
) -> Iterator[Candidate]:
    """A candidate for each prefix; the last is one that fits and leaves nothing, where there is such a one."""
    for prefix in prefixes:
        sources = _sources(stored, names, prefix)
        versions = {
            names.module(f"{path}."[len(prefix) :].removesuffix(".")): about
            for path, about in stored.versions.items()
            if f"{path}.".startswith(prefix)
        }
        state = {mine: stored.tensors[theirs] for mine, theirs in sources.items()}
        candidate = _candidate(network, Candidate(prefix, sources, Verdict(state), (), ()), versions, expected)
        yield candidate
        if candidate.fits and len(sources) == len(stored.tensors):
            break


def _candidate(network: nn.Module, untried: Candidate, versions: Mapping[str, Any], expected: State) -> Candidate:
    """That candidate after a try."""
    beside = {key for key in untried.sources if key not in expected and _is_beside(key)}
    state = {key: value for key, value in untried.verdict.state.items() if key not in beside}
    sources = {key: theirs for key, theirs in untried.sources.items() if key not in beside}
    known = [key for key in state if isinstance(expected.get(key), Tensor)]
    kinds = [key for key in known if not same_kind(state[key], expected[key])]
    verdict = Verdict(state, raised="kind") if kinds else tried(network, state, versions)
    if not verdict.raised:
        return Candidate(untried.prefix, sources, verdict, (), verdict.unexpected)
    lacking = tuple(key for key in expected if key not in state)
    shapes = [key for key in known if not is_lazy(expected[key]) and shape(state[key]) != shape(expected[key])]
    verdict = Verdict(state, lacking, raised=verdict.raised)
    misfits, unexpected = tuple(dict.fromkeys([*shapes, *kinds])), tuple(key for key in state if key not in expected)
    return Candidate(untried.prefix, sources, verdict, misfits, unexpected)


def _sources(stored: Stored, names: Names, prefix: str) -> dict[str, str]:
    """The names of the tensors below `prefix`, by those that the network has for them; exact names come first.

    A dict within of which the network knows nothing is none of it."""
    sources: dict[str, str] = {}
    below = [key for key in stored.tensors if key.startswith(prefix)]
    known = {stored.folder_of(key) for key in below if names.tensor(key.removeprefix(prefix)) in names.expected}
    known.add(stored.folder_of(prefix))
    for key in sorted(below, key=lambda key: key.removeprefix(prefix) not in names.expected):
        rest = key.removeprefix(prefix)
        mine = names.tensor(rest)
        if mine not in names.expected and stored.folder_of(key) not in known:
            continue
        if mine in sources and not equal(stored.tensors[sources[mine]], stored.tensors[key]):
            mine = rest
        sources.setdefault(mine, key)
    return sources


def _the_one(fits: list[Candidate], stored: Stored, name: str) -> tuple[Candidate, list[str]]:
    """The candidate to take, and the names that it leaves. Raises InputError where candidates differ."""
    networks: list[Candidate] = []
    for fit in sorted(fits, key=lambda fit: len(fit.prefix)):
        if not any(same(fit.verdict.state, other.verdict.state) for other in networks):
            networks.append(fit)
    if len(networks) > 1:
        ways = " or ".join(f"prefix = {fit.prefix!r}" for fit in networks[:SHOWN] if fit.prefix)
        raise InputError(
            f"{name} holds {len(networks)} networks that fit and differ: say which by {ways}; or save the state dict "
            "that you want alone"
        )
    chosen = networks[0]
    used = {theirs for fit in fits for theirs in fit.sources.values()}
    return chosen, [key for key in stored.tensors if key not in used]


def _check_left(chosen: Candidate, left: list[str], asked: bool, name: str) -> None:
    """Raises InputError where a part of the file was found by nothing but its fitting, and much else is there: the
    network may be another one."""
    known = {*chosen.prefix.split(".")[:-1]} <= HOLDERS
    rest = [key for key in left if not _is_beside(key)]
    if rest and not known and not asked:
        raise InputError(
            f"{name}: the tensors below {chosen.prefix!r} fit the network, and {listed(rest)} would be left out: if "
            f"that is meant, give prefix = {chosen.prefix!r}"
        )


def _about_misfit(nearest: Candidate, expected: State, name: str) -> str:
    state, verdict = nearest.verdict.state, nearest.verdict
    shown = {key: state[key] for key in nearest.misfits}
    given = [f"{key} {described(value)} instead of {described(expected[key])}" for key, value in shown.items()]
    faults = {"missing": verdict.missing, "unexpected": nearest.unexpected, "of another shape": given}
    said = [f"{len(keys)} {what}: {_examples(keys)}" for what, keys in faults.items() if keys]
    if not said:
        said = [f"its own rules say {verdict.raised}"]
    below = f" below {nearest.prefix!r}" if nearest.prefix else ""
    return f"{name} does not fit the network ({'; '.join(said)}){below}: name the one that these weights are of"


def _lack(candidate: Candidate) -> tuple[int, int]:
    """How far a candidate is from fitting; of those alike, the one to tell of is that which holds most."""
    return len(candidate.verdict.missing) + len(candidate.misfits), -len(candidate.sources)


def _is_beside(name: str) -> bool:
    return any(part in BESIDES for part in name.split(".")) or is_of_a_normaliser(name)


def _examples(keys: Iterable[str]) -> str:
    keys = [*keys]
    return ", ".join(keys[:3]) + ", ..." * (len(keys) > 3)
