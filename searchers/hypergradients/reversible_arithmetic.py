"""Arithmetic that can be undone bit for bit (Maclaurin, Duvenaud & Adams 2015, Algorithm 3).

Numbers are integers in units of 2^−fraction_bits, held in float64, whose vectorised arithmetic is
several times as fast as int64's and exact as long as all stay below `LARGEST`.

Multiplying a velocity by n/d < 1 loses information: log₂(d/n) bits. They go to a buffer, one word
b ≥ 0 for each number v. With q, r = divmod(v, d) and p, s = divmod(b·d + r, n),

    v ← q·n + s    and    b ← p.

Since 0 ≤ s < n and 0 ≤ r < d, both divisions can be undone: n out of v and s back into b, then d
out of b and r back into v, which is the same exchange with n and d swapped. The word grows by the
factor d/n a step; before it could reach `LARGEST`, its low 32 bits are put away whole. When that
is follows from the ratios alone (a bound on all words at once), not from what the words hold.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from searchers.errors import SearcherError

LARGEST = 1 << 50
"""Below it (v + ½)/d, computed in three roundings, is nearer to its true value than to any integer
(3 · 2⁻⁵³ · 2⁵⁰ < ½), so that its floor is exact."""

BLOCK = 1 << 15
"""So many numbers at a time, with their words, stay in a processor's second cache."""

SPILLED_BITS = 32
LARGEST_DENOMINATOR = 1 << 16
"""So that one spill always makes enough room."""


class OutOfRange(SearcherError):
    """A training that left the fixed-point numbers: it diverged, or needs fewer fraction bits."""


@lru_cache(maxsize=4096)
def as_ratio(momentum: float, largest_denominator: int = 1000) -> Fraction:
    """The fraction n/d nearest to a momentum, d ≤ ``largest_denominator``.

    An exactly reversible training multiplies by such a ratio, so a momentum that was learned has
    to be rounded to one first (by at most 1/``largest_denominator``); each step rounds the velocity
    by up to n units.

    Raises:
        SearcherError: the momentum is outside (0, 1] or rounds to 0: what a momentum of 0 forgets,
            no small buffer remembers.
    """
    if not 1 <= largest_denominator <= LARGEST_DENOMINATOR:
        raise SearcherError(
            f"a largest denominator of {largest_denominator} cannot be worked with: "
            f"choose one from 1 to {LARGEST_DENOMINATOR}"
        )
    if not 0 <= momentum <= 1:
        raise SearcherError(
            f"momentum {momentum} cannot be reversed exactly: keep it in (0, 1], "
            "or use the checkpointed engine"
        )
    ratio = Fraction(momentum).limit_denominator(largest_denominator)
    if ratio == 0:
        rounded = "" if momentum == 0 else f" (0 as a ratio n/d with d ≤ {largest_denominator})"
        raise SearcherError(
            f"momentum {momentum:g}{rounded} forgets the whole velocity, which no reversal brings "
            "back: use the checkpointed engine"
        )
    return ratio


def to_integers(values: Tensor, fraction_bits: int) -> Tensor:
    """``values`` in units of 2^−fraction_bits, rounded, float64; refuses what does not fit."""
    integers = values.to(torch.float64).mul(2.0**fraction_bits).round_()
    check_range(integers, fraction_bits, "the initial weights")
    return integers


def check_range(integers: Tensor, fraction_bits: int, what: str) -> None:
    """Refuse numbers that have left the range, or are NaN or infinite.

    Raises:
        OutOfRange: ``what``, in the message, has left it.
    """
    # The Euclidean norm bounds the largest magnitude and is the cheaper to compute.
    if float(torch.dot(integers, integers)) < LARGEST**2:
        return
    low, high = (float(extreme) for extreme in torch.aminmax(integers))
    if not max(-low, high) < LARGEST:
        raise OutOfRange(
            f"{what} left the range of fixed-point numbers with {fraction_bits} fraction bits, "
            f"±{2.0 ** (50 - fraction_bits):g} (the largest magnitude is "
            f"{max(-low, high) / 2.0**fraction_bits:g}): train at smaller learning rates, take "
            "fewer fraction bits, or use the checkpointed engine"
        )


class _Push(NamedTuple):
    """What undoing one multiplication has to know; the same for all parameters."""

    ratio: Fraction
    bound: int
    spilled: bool


class InformationBuffer:
    """What multiplications of P numbers have lost so far, and so what undoes them.

    ``word``: float64 integers, shape (P,), none above ``bound``. ``spilled``: the words put away,
    int32, shape (P,) each. Vectors are changed in place.

    Args:
        size: P.
        device: where the vectors lie.
    """

    def __init__(self, size: int, device: torch.device | None = None):
        self.word = torch.zeros(size, dtype=torch.float64, device=device)
        self.bound = 0
        self.spilled: list[Tensor] = []
        self._quotient = torch.empty_like(self.word[:BLOCK])
        self._pushes: list[_Push] = []

    def multiply(self, integers: Tensor, ratio: Fraction) -> None:
        """Multiply ``integers``, all below `LARGEST`, by n/d in (0, 1]: rounded, to within n.

        At 1 they stay as they are.
        """
        assert 0 < ratio <= 1, ratio
        assert ratio.denominator <= LARGEST_DENOMINATOR, ratio
        n, d = ratio.numerator, ratio.denominator
        spill = self.bound * d + d - 1 >= LARGEST
        self._pushes.append(_Push(ratio, self.bound, spill))
        if spill:
            self._spill()
        if ratio != 1:
            self._exchange(integers, d, n)
            self.bound = (self.bound * d + d - 1) // n

    def undo(self, integers: Tensor) -> None:
        """Take back the last multiplication not yet undone, of its product ``integers``."""
        ratio, bound, spilled = self._pushes.pop()
        if ratio != 1:
            self._exchange(integers, ratio.numerator, ratio.denominator)
        if spilled:
            self._unspill()
        self.bound = bound

    def bits(self) -> int:
        """The memory in use: all spilled words, and the current one whole, however full."""
        return self.word.numel() * (64 + SPILLED_BITS * len(self.spilled))

    @property
    def empty(self) -> bool:
        """Whether every multiplication has been undone, and left nothing behind."""
        return not self.spilled and not self._pushes and not bool(self.word.any())

    def _exchange(self, v: Tensor, d: int, n: int) -> None:
        """v, b ← (v // d)·n + s, p with p, s = divmod(b·d + v mod d, n): eight passes, in place."""
        size = len(self._quotient)
        for x, b in zip(v.split(size), self.word.split(size), strict=True):
            quotient = self._quotient[: len(x)]
            torch.add(_half(d), x, alpha=1 / d, out=quotient).floor_()
            x.sub_(quotient, alpha=d).add_(b, alpha=d)
            torch.add(_half(n), x, alpha=1 / n, out=b).floor_()
            x.sub_(b, alpha=n).add_(quotient, alpha=n)

    def _spill(self) -> None:
        high = self.word.mul(2.0**-SPILLED_BITS).floor_()
        low = self.word.sub_(high, alpha=2.0**SPILLED_BITS)
        self.spilled.append(low.sub_(2.0 ** (SPILLED_BITS - 1)).to(torch.int32))
        self.word, self.bound = high, self.bound >> SPILLED_BITS

    def _unspill(self) -> None:
        low = self.spilled.pop().to(torch.float64).add_(2.0 ** (SPILLED_BITS - 1))
        self.word = low.add_(self.word, alpha=2.0**SPILLED_BITS)


def _half(divisor: int) -> Tensor:
    return torch.tensor(0.5 / divisor, dtype=torch.float64)
