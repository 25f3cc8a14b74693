"""The Gaussian family on which Theorem 1 is stated, its attack A and its transformation r.

One number x_0 agrees with the label with probability p; 2 d numbers are normal with means +-c/sqrt(d) that tell the
label nearly for sure, but that A shifts, and r exchanges, to the means of the other label. Everything here takes and
returns numpy arrays, or torch tensors where the caller brings a torch.Generator or a tensor; torch is never imported
otherwise."""

import math
import operator
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from invrob.checks import checked_count, checked_number
from invrob.errors import InputError

if TYPE_CHECKING:
    import torch

    Seed = int | np.random.Generator | torch.Generator

Array = Any  # numpy.ndarray, or torch.Tensor where the caller brought a tensor or a torch.Generator

P_RANGE = "[0.5, 1): below 0.5 flip the sign of x_0; at 1 the bound divides by 0, try 0.99"
MOST_PAIRS = 10**7
SAMPLE_LIMIT = 2**32  # bytes that one array of sample() may take: 4 GiB
CHUNK_BYTES = 2**24  # bytes of one chunk: 16 MiB is large beside the overhead of a call and small beside any memory

# Streams of random numbers that start from the same seed and have different tags share nothing. A tag is two words
# long, so that no stream is that of a caller's own default_rng(integer): default_rng(1) is default_rng([1, 0]).
LABEL_STREAM, NOISE_STREAM, COIN_STREAM = 2**63 + 3, 2**63 + 4, 2**63 + 5


@dataclass(frozen=True)
class GaussianTradeoff:
    """The Gaussian distribution of Theorem 1, from which samples are drawn, attacked and transformed.

    The label y is +1 or -1 with probability 1/2 each; x_0 = y with probability p, else -y; and, independently,
    x_1, x_3, ... ~ N(+c y/sqrt(d), 1) and x_2, x_4, ... ~ N(-c y/sqrt(d), 1).

    Args:
        p: how often x_0 equals the label, in [1/2, 1).
        d: number of pairs, an integer in [1, 10^7]: x has 2 d + 1 numbers.
        c: mean of a number times sqrt(d), in (0, 1e6]; the paper has 3.

    Raises:
        InputError: outside these ranges.

    Example:
        >>> from invrob.theory import GaussianTradeoff
        >>> x, y = GaussianTradeoff(p=0.7, d=100).sample(5, seed=0)
        >>> x.shape, y.shape
        ((5, 201), (5,))
    """

    p: float
    d: int
    c: float = 3.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", checked_p(self.p))
        object.__setattr__(self, "d", checked_count("d", self.d))
        object.__setattr__(self, "c", checked_c(self.c))
        if self.d > MOST_PAIRS:
            raise InputError(f"d = {self.d} is outside [1, {MOST_PAIRS}]: nothing depends on d, take a smaller one")

    @property
    def epsilon(self) -> float:
        """The L-inf size of the attack, 2 c / sqrt(d): 6 / sqrt(d) in the paper."""
        return 2 * self.c / math.sqrt(self.d)

    @property
    def separation(self) -> float:
        """m = c sqrt(2): s (see `statistic`) is N(m y, 1) on clean and N(-m y, 1) on attacked samples, for every d."""
        return separation(self.c)

    def sample(self, n: int, seed: "Seed") -> tuple[Array, Array]:
        """Draw x [n, 2d+1] float64 and y [n] int64 in {-1, +1}, n >= 1.

        seed: an integer >= 0 or a numpy.random.Generator (numpy arrays), or a torch.Generator (torch tensors, on its
        device). The same seed gives the same bits; a generator moves on. The whole array is made at once: n = 10^6 at
        d = 10^4 would be 160 GB, so more than 4 GiB are refused with an InputError that names `chunks`, which draws
        the same sample piece by piece."""
        n = checked_count("n", n)
        if n * self._row_bytes > SAMPLE_LIMIT:
            raise InputError(
                f"n = {n} samples of d = {self.d} would take {n * self._row_bytes / 2**30:.1f} GiB at once and at most "
                f"{SAMPLE_LIMIT / 2**30:.0f} GiB are allowed: take them piece by piece, for x, y in chunks({n}, seed)"
            )
        return self._draw(n, *_streams(seed))

    def chunks(self, n: int, seed: "Seed", rows: int | None = None) -> Iterator[tuple[Array, Array]]:
        """Draw n samples as pairs (x [k, 2d+1], y [k]) whose k adds up to n, one pair in memory at a time.

        rows: the largest k, >= 1; without it, as many as fit into 16 MiB (at least one). For an integer seed or a
        numpy Generator the pieces are, joined, `sample(n, seed)` to the bit, whatever `rows` is; for a torch.Generator
        they are the same law, but other draws. Raises InputError as `sample` does, except for size."""
        n = checked_count("n", n)
        rows = max(1, CHUNK_BYTES // self._row_bytes) if rows is None else checked_count("rows", rows)
        streams = _streams(seed)
        return (self._draw(min(rows, n - start), *streams) for start in range(0, n, rows))

    def attack(self, x: Array, y: Array) -> Array:
        """x + A(x): a new array in which every pair has the means of the other label; x_0 stays. Here A knows y.

        x: [n, 2d+1] floating, y: [n] in {-1, +1}, both numpy or both torch. A(x) is -2 c y/sqrt(d) on x_1, x_3, ...
        and +2 c y/sqrt(d) on x_2, x_4, .... Raises InputError for other shapes, dtypes, labels, or x not finite."""
        x = self._checked_samples(x)
        y = y if _is_torch(y) else np.asarray(y)
        if _is_torch(y) != _is_torch(x):
            raise InputError(f"x ({type(x)}) and y ({type(y)}) must both be numpy arrays or both torch tensors")
        if tuple(y.shape) != (len(x),) or not bool(((y == 1) | (y == -1)).all()):
            raise InputError(f"y {[*y.shape]} must be [{len(x)}] labels -1 or +1, one per row of x: write 2 * y - 1")
        return self.attacked(x, y)

    def transform(self, x: Array, seed: "Seed") -> Array:
        """r(x): a new array in which each row, with probability 1/2, has x_1 and x_2, x_3 and x_4, ... exchanged.

        x: [n, 2d+1] floating. seed: as for `sample`; any kind serves any kind of x, and an integer tosses the same
        coins for numpy and for torch. The coins have nothing to do with what `sample` draws from the same seed, or from
        a generator in the same state. Raises InputError for another width or dtype, or x not finite."""
        x = self._checked_samples(x)
        coins = tagged_stream(_parent(seed), COIN_STREAM).random(len(x)) < 0.5
        if _is_torch(x):
            import torch

            return self.swapped(x, torch.as_tensor(coins, device=x.device))
        return self.swapped(x, coins)

    def swap(self, x: Array) -> Array:
        """A new array with x_1 and x_2, x_3 and x_4, ... exchanged in every row of x [n, 2d+1]: r, if its coin says so.

        Raises InputError for another width or dtype, or x not finite."""
        return self.swapped(self._checked_samples(x), slice(None))

    def attacked(self, x: Array, y: Array) -> Array:
        """`attack` without its checks, for x and y that were drawn here."""
        shift = self.epsilon * (y.to(x) if _is_torch(y) else y.astype(x.dtype))[:, None]
        out = _copy(x)
        out[:, 1::2] -= shift
        out[:, 2::2] += shift
        return out

    def swapped(self, x: Array, rows: Array) -> Array:
        """`swap` of the rows for which `rows` [n] bool (or a slice) is true, without its checks."""
        out = _copy(x)
        out[rows, 1::2] = x[rows, 2::2]
        out[rows, 2::2] = x[rows, 1::2]
        return out

    @property
    def _row_bytes(self) -> int:
        return 8 * (2 * self.d + 1)

    def _draw(self, n: int, labels: Any, noise: Any) -> tuple[Array, Array]:
        uniforms = _uniforms(labels, (n, 2))
        y = 1 - 2 * (uniforms[:, 0] < 0.5)
        x = _normals(noise, (n, 2 * self.d + 1))
        x[:, 0] = y
        shift = (self.epsilon / 2) * x[:, :1]  # from x, not y: an integer tensor times a float would be float32
        x[:, 1::2] += shift
        x[:, 2::2] -= shift
        x[:, 0] *= 1 - 2 * (uniforms[:, 1] >= self.p)
        return x, y

    def _checked_samples(self, x: Array) -> Array:
        x = x if _is_torch(x) else np.asarray(x)
        width = 2 * self.d + 1
        if not (x.ndim == 2 and x.shape[1] == width):
            raise InputError(f"x {[*x.shape]} must be [n, {width}]: x_0 and d = {self.d} pairs of numbers in each row")
        floating = x.is_floating_point() if _is_torch(x) else np.issubdtype(x.dtype, np.floating)
        if not (floating and bool((x.isfinite() if _is_torch(x) else np.isfinite(x)).all())):
            raise InputError(f"x ({x.dtype}) must hold finite floating point numbers: drop rows with NaN or infinity")
        return x


def separation(c: float) -> float:
    """m = c sqrt(2): how far the mean of s lies from 0, in standard deviations."""
    return c * math.sqrt(2)


def checked_p(p: float) -> float:
    """p as a float, or InputError unless it is in [1/2, 1)."""
    return checked_number("p", p, lambda value: 0.5 <= value < 1, P_RANGE)


def checked_c(c: float) -> float:
    """c as a float, or InputError unless it is in (0, 1e6]."""
    return checked_number("c", c, lambda value: 0 < value <= 1e6, "(0, 1e6]: the paper has c = 3")


def _is_torch(value: object) -> bool:
    torch = sys.modules.get("torch")  # who holds a tensor or a torch.Generator has imported it
    return torch is not None and isinstance(value, (torch.Tensor, torch.Generator))


def _copy(x: Array) -> Array:
    return x.clone() if _is_torch(x) else x.copy()


def _streams(seed: "Seed") -> tuple[Any, Any]:
    """One stream for labels, one for noise: each is consumed row by row, so that a sample does not depend on chunks."""
    parent = _parent(seed)
    if _is_torch(parent):
        return parent, parent
    return tagged_stream(parent, LABEL_STREAM), tagged_stream(parent, NOISE_STREAM)


def _parent(seed: "Seed") -> Any:
    """The generator that `seed` is, or means."""
    if _is_torch(seed) or isinstance(seed, np.random.Generator):
        return seed
    try:
        return np.random.default_rng(operator.index(seed))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(
            f"seed = {seed!r} must be an integer of at least 0, a numpy.random.Generator or a torch.Generator"
        ) from None


def tagged_stream(parent: Any, tag: int) -> np.random.Generator:
    """A stream of its own that four draws from `parent`, a numpy or a torch Generator, start; `parent` moves on."""
    if _is_torch(parent):
        import torch

        draws = torch.randint(2**63 - 1, (4,), generator=parent, device=parent.device).tolist()
    else:
        draws = parent.integers(2**63, size=4).tolist()
    return np.random.default_rng([tag, *draws])


def _uniforms(stream: Any, shape: tuple[int, ...]) -> Array:
    if _is_torch(stream):
        import torch

        return torch.rand(shape, generator=stream, device=stream.device, dtype=torch.float64)
    return stream.random(shape)


def _normals(stream: Any, shape: tuple[int, ...]) -> Array:
    if _is_torch(stream):
        import torch

        return torch.randn(shape, generator=stream, device=stream.device, dtype=torch.float64)
    return stream.standard_normal(shape)
