"""Small plots side by side, each with two logarithmic axes and a line for each name, as SVG."""

import math

from plot import line, looks_of, text

WIDE, HIGH, ACROSS = 300, 220, 3
LEFT, TOP, GAP = 70, 80, 80


class Axis:
    """A logarithmic axis of so many pixels, over all of the values."""

    def __init__(self, values, pixels):
        low, high = math.log10(min(values)), math.log10(max(values))
        # A margin, so that no point lies at the edge, and that equal values have an axis.
        margin = 0.08 * (high - low) + 0.05
        self.low, self.high, self.pixels = low - margin, high + margin, pixels

    def at(self, value):
        return self.pixels * (math.log10(value) - self.low) / (self.high - self.low)

    def ticks(self):
        """Powers of ten, with 2 and 5 times these where there are few."""
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        inside = lambda factors: [f * 10**power for power in powers for f in factors if self.low <= math.log10(f) + power <= self.high]
        tens = inside((1,))
        return tens if len(tens) > 2 else inside((1, 2, 5))


def short(value):
    """A value of the axis with k or M."""
    for unit, sign in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{sign}"
    return f"{value:g}"


def panel(head, lines, looks, x, y):
    """One plot, whose upper left corner is at x, y."""
    points = [point for some in lines.values() for point in some]
    across, up = Axis([p[0] for p in points], WIDE), Axis([p[1] for p in points], HIGH)
    shapes = [text(x, y - 10, head, 'font-size="14"')]
    for tick in across.ticks():
        at = x + across.at(tick)
        shapes += [line([(at, y), (at, y + HIGH)], "#dddddd"), text(at, y + HIGH + 18, short(tick), 'text-anchor="middle"')]
    for tick in up.ticks():
        at = y + HIGH - up.at(tick)
        shapes += [line([(x, at), (x + WIDE, at)], "#dddddd"), text(x - 6, at + 4, short(tick), 'text-anchor="end"')]
    for name, some in lines.items():
        colour, stroke = looks[name]
        places = [(x + across.at(a), y + HIGH - up.at(b)) for a, b in some]
        shapes.append(line(places, colour, stroke))
        shapes += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in places]
    return shapes


def draw(title, names, shown):
    """The picture: pairs of a heading and the points of each name that has some."""
    looks = looks_of(names)
    high = TOP + math.ceil(len(shown) / ACROSS) * (HIGH + GAP)
    size = f'{LEFT + ACROSS * (WIDE + GAP)}" height="{high}'
    shapes = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" font-family="sans-serif" font-size="12">']
    shapes += ['<rect width="100%" height="100%" fill="white"/>', text(LEFT, 24, title, 'font-size="16"')]
    for at, name in enumerate(names):
        x = LEFT + 170 * at
        shapes += [line([(x, 42), (x + 30, 42)], *looks[name]), text(x + 36, 46, name)]
    for at, (head, lines) in enumerate(shown):
        x, y = LEFT + at % ACROSS * (WIDE + GAP), TOP + at // ACROSS * (HIGH + GAP)
        shapes += panel(head, lines, looks, x, y)
    return "\n".join([*shapes, "</svg>", ""])
