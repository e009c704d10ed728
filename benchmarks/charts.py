"""Charts as SVG, from figures alone: the same figures give the same bytes, so that a test can hold them together."""

from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.measurement import number

_WIDTH, _LABELS, _ROW, _TOP = 760, 290, 26, 44
_PLOT_HEIGHT, _MARGIN = 240, 60
_COLOURS = ("#2563eb", "#d97706", "#059669", "#7c3aed")
_OURS, _OTHERS = "#2563eb", "#94a3b8"


def bars(title: str, unit: str, values: Mapping[str, float], ours: str) -> str:
    """A bar for each value, from zero; those whose name begins with `ours` stand out."""
    most = max(values.values(), default=0) or 1
    rows = [
        _bar(name, value, (_WIDTH - _LABELS - 90) * value / most, _TOP + place * _ROW, name.startswith(ours))
        for place, (name, value) in enumerate(values.items())
    ]
    return _svg(_TOP + len(values) * _ROW + 12, f"{title}, {unit}", rows)


def lines(title: str, along: str, places: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """A line for each of the series, from zero, over evenly spaced places. Of many, two are named."""
    most = max((max(values) for values in series.values() if values), default=0) or 1
    axis = (
        f'<path d="M{_MARGIN} {_TOP}V{_TOP + _PLOT_HEIGHT}H{_WIDTH - 20}" fill="none" stroke="#999"/>'
        f'<text x="{_MARGIN - 6}" y="{_TOP + 10}" text-anchor="end">{number(most)}</text>'
        f'<text x="{_MARGIN - 6}" y="{_TOP + _PLOT_HEIGHT}" text-anchor="end">0</text>'
    )
    named = range(len(places)) if len(places) <= 12 else (0, len(places) - 1)
    names = [
        f'<text x="{_x(place, len(places)):.1f}" y="{_TOP + _PLOT_HEIGHT + 16}" text-anchor="middle">'
        f"{escape(places[place])}</text>"
        for place in named
    ]
    drawn = [_line(name, values, most, place) for place, (name, values) in enumerate(series.items())]
    below = f'<text x="{_WIDTH / 2}" y="{_TOP + _PLOT_HEIGHT + 34}" text-anchor="middle">{escape(along)}</text>'
    return _svg(_TOP + _PLOT_HEIGHT + 44, title, [axis, *names, *drawn, below])


def _bar(name: str, value: float, width: float, top: float, stands_out: bool) -> str:
    colour = _OURS if stands_out else _OTHERS
    return (
        f'<text x="{_LABELS - 8}" y="{top + 16}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{_LABELS}" y="{top + 3}" width="{width:.1f}" height="{_ROW - 8}" fill="{colour}"/>'
        f'<text x="{_LABELS + width + 6:.1f}" y="{top + 16}">{number(value)}</text>'
    )


def _line(name: str, values: Sequence[float], most: float, place: int) -> str:
    colour = _COLOURS[place % len(_COLOURS)]
    points = [(_x(at, len(values)), _TOP + _PLOT_HEIGHT * (1 - value / most)) for at, value in enumerate(values)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    few = points if len(points) <= 12 else []
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in few)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
        f'<text x="{_WIDTH - 24}" y="{_TOP + _PLOT_HEIGHT - 12 - 18 * place}" text-anchor="end" fill="{colour}">'
        f"{escape(name)}</text>"
    )


def _x(place: int, places: int) -> float:
    return _MARGIN + 20 + (_WIDTH - _MARGIN - 80) * place / max(places - 1, 1)


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    inner = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{_WIDTH / 2}" y="22" text-anchor="middle" font-size="14" font-weight="bold">{escape(title)}</text>\n'
        f"{inner}\n</svg>\n"
    )
