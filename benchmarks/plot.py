"""Series as small panels of one SVG, so that a measurement can be looked at without anything to install."""

from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 720, 90, 150, 30, 40


def plot(samples: Sequence[Mapping[str, float]], along: str, series: Sequence[str]) -> str:
    """A panel for each of the `series`, from zero to its largest value, over `along`."""
    height = _TOP + len(series) * (_HEIGHT + _GAP)
    panels = "\n".join(_panel(samples, along, name, number) for number, name in enumerate(series))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 30}" height="{height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{panels}\n</svg>\n'
    )


def _panel(samples: Sequence[Mapping[str, float]], along: str, name: str, number: int) -> str:
    top = _TOP + number * (_HEIGHT + _GAP)
    most, last = max(sample[name] for sample in samples) or 1, samples[-1][along]
    points = " ".join(
        f"{_LEFT + _WIDTH * sample[along] / last:.1f},{top + _HEIGHT * (1 - sample[name] / most):.1f}"
        for sample in samples
    )
    base = top + _HEIGHT
    return (
        f'<text x="8" y="{top + _HEIGHT / 2}">{name}</text><text x="{_LEFT - 8}" y="{top + 10}" '
        f'text-anchor="end">{most:,}</text><text x="{_LEFT - 8}" y="{base}" text-anchor="end">0</text>'
        f'<path d="M{_LEFT} {top}V{base}H{_LEFT + _WIDTH}" fill="none" stroke="#999"/>'
        f'<text x="{_LEFT + _WIDTH}" y="{base + 14}" text-anchor="end">{last:,} {along}</text>'
        f'<polyline points="{points}" fill="none" stroke="#2563eb" stroke-width="2"/>'
    )
