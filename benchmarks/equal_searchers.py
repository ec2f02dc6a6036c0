"""A/A: equal searchers with draws of their own. The verdicts should tell none of them apart.

    python benchmarks/equal_searchers.py [SEARCHERS] [SEEDS] [EVALUATIONS]

Each is random search on the noisy quadratic, from a random stream of its own, so their regrets
differ by luck alone. Prints the page's answer, and each pair's difference and p-value. By chance
alone, a pair is told apart in 5 % of such studies; exits with 1 if one is at p < 0.01.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hpobench import Study, evaluations
from hpobench.report.conclusions import answers
from hpobench.results.paired import finals
from hpobench.statistics.verdicts import verdicts
from searchers import RandomSearch
from searchers.protocols import Brief, Suggester

APART = 0.01


@dataclass(frozen=True)
class OtherStream:
    """Random search from a stream of its own."""

    stream: int

    @property
    def name(self) -> str:
        return f"random_{self.stream}"

    def suggester(self, brief: Brief) -> Suggester:
        return RandomSearch().suggester(replace(brief, seed=brief.seed + 1_000_000 * self.stream))


def main() -> None:
    numbers = [int(text) for text in sys.argv[1:4]]
    searchers, seeds, budget = [*numbers, *(6, 20, 30)[len(numbers) :]]
    names = [OtherStream(number) for number in range(searchers)]
    study = Study("equal", ["noisy_quadratic"], names, seeds, evaluations(budget))
    with tempfile.TemporaryDirectory() as folder:
        results = study.run(Path(folder) / "run", wandb="off")
        [answer] = answers(results)
        pairs = verdicts(finals(results, "noisy_quadratic"))
    print(answer)
    for pair in pairs:
        found = pair.difference
        interval = f"{found.mean:+.4g} [{found.low:+.4g}, {found.high:+.4g}]"
        print(f"{pair.first} - {pair.second}: {interval}, p = {pair.p:.2f}")
    told, least = sum(pair.better is not None for pair in pairs), min(pair.p for pair in pairs)
    print(f"{told} of {len(pairs)} pairs told apart; the smallest p is {least:.2g}")
    sys.exit(bool(least < APART))


if __name__ == "__main__":
    main()
