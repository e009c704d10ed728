"""The common shape of everything that is measured: variants that take turns, round after round, and their medians.

A variant that fails says so in its place, and the others go on.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Figures = Mapping[str, float | Sequence[float]]
"""What one run gave: figures by name, or a series of them."""

Result = dict[str, Any]
"""Of one variant, as it stands in the JSON: `rounds`, their `median` by name; or an `error`."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One of those that take turns."""

    name: str
    run: Callable[[], Figures]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Variants that are compared with each other. held: what they need all the while, made before and gone after."""

    name: str
    variants: Sequence[Variant]
    rounds: int
    held: AbstractContextManager[object] = field(default_factory=nullcontext)


def take_turns(measurement: Measurement, tell: Callable[[str], None]) -> dict[str, Result]:
    """Run the variants in turn, A B A B; the results by the variant's name."""
    rounds: dict[str, list[Figures]] = {variant.name: [] for variant in measurement.variants}
    errors: dict[str, str] = {}
    try:
        with measurement.held:
            for number in range(measurement.rounds):
                for variant in measurement.variants:
                    if variant.name not in errors:
                        _run(variant, rounds[variant.name], errors)
                        said = errors.get(variant.name) or shown(rounds[variant.name][-1])
                        tell(f"{measurement.name}, round {number + 1}: {variant.name}: {said}")
    except Exception as error:  # noqa: BLE001 - what they need could not be made: told in the place of each
        traceback.print_exc()
        errors = dict.fromkeys(rounds, f"{type(error).__name__}: {error}")
    return {name: _result(figures, errors.get(name)) for name, figures in rounds.items()}


def _run(variant: Variant, rounds: list[Figures], errors: dict[str, str]) -> None:
    try:
        rounds.append(variant.run())
    except Exception as error:  # noqa: BLE001 - it is told in the table; the others are measured all the same
        traceback.print_exc()
        errors[variant.name] = f"{type(error).__name__}: {error}"


def _result(rounds: Sequence[Figures], error: str | None) -> Result:
    if error is not None:
        return {"error": error}
    names = [name for name, value in rounds[0].items() if isinstance(value, int | float)]
    medians = {name: median(float(figures[name]) for figures in rounds) for name in names}  # type: ignore[arg-type]  # not a series
    return {"rounds": [dict(figures) for figures in rounds], "median": medians}


def shown(figures: Figures) -> str:
    """The figures in one line, without the series."""
    return ", ".join(f"{name} {number(value)}" for name, value in figures.items() if isinstance(value, int | float))


def number(value: float) -> str:
    """As it is read best: three digits that count, thousands apart."""
    if abs(value) >= 1_000:
        return f"{round(value, -(len(str(int(abs(value)))) - 3)):,.0f}"
    return f"{value:.3g}"
