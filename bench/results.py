"""What a measurement found, and whether that is enough."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

OURS = "notices"


@dataclass(frozen=True)
class Target:
    """What was asked for, in words, what came, and whether it is enough."""

    words: str
    found: str
    met: bool


@dataclass
class Result:
    """One measurement: by who was measured, what each round gave. The first is us."""

    title: str
    unit: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    note: str = ""

    def add(self, who: str, figure: float) -> None:
        self.figures.setdefault(who, []).append(figure)

    def median(self, who: str = OURS) -> float:
        return statistics.median(self.figures[who])

    def ratio(self, other: str) -> float:
        return self.median() / self.median(other)

    def at_least(self, least: float, of: str = "") -> None:
        """The target: so much, or so many times what another one does."""
        if of:
            self._target(f"≥ {number(least)} × {of}", f"{self.ratio(of):.2f} ×", self.ratio(of) >= least)
        else:
            self._target(f"≥ {number(least)} {self.unit}", number(self.median()), self.median() >= least)

    def at_most(self, most: float, who: str = OURS) -> None:
        found = self.median(who)
        words = f"≤ {number(most)} {self.unit}" + (f" ({who})" if who != OURS else "")
        self._target(words, number(found), found <= most)

    def _target(self, words: str, found: str, met: bool) -> None:
        self.targets.append(Target(words, found, met))

    def __str__(self) -> str:
        """One line for who watches."""
        figures = ", ".join(f"{who} {number(self.median(who))}" for who in self.figures)
        verdict = "".join(f"; {t.words}: {'yes' if t.met else 'NO'} ({t.found})" for t in self.targets)
        return f"{self.title} [{self.unit}]: {figures}{verdict}"


def number(value: float) -> str:
    """As many digits as mean something."""
    if value >= 1000:
        return f"{round(value, 3 - len(str(int(value)))):,.0f}"
    return f"{value:.3g}"


def percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[round(part * (len(values) - 1))]
