"""The plot: queries per second of batches over recall, a line for each name, as SVG."""

import math
import statistics
from html import escape

LEFT, TOP, WIDE, HIGH = 80, 50, 620, 440
WHOLE = 0.9999
RECALLS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1)
OURS = ("#d55e00", "#cc0000", "#8c2d04", "#e7298a", "#7a0177", "#e6ab02")
THEIRS = ("#0072b2", "#009e73", "#666666", "#56b4e9", "#332288", "#999933", "#44aa99")
DASHES = ("", "7 3", "2 3")


def across(recall):
    """Where a recall lies: by the logarithm of the share that is missed. What misses nothing, or next to nothing, lies at the edge."""
    missed = 1 - min(recall, WHOLE)
    return LEFT + WIDE * math.log(missed / (1 - RECALLS[0])) / math.log((1 - WHOLE) / (1 - RECALLS[0]))


def frontier(points):
    """The points of which none has both a higher recall and a higher rate, by recall."""
    kept = []
    for recall, rate in sorted(points, reverse=True):
        if not kept or rate > kept[-1][1]:
            kept.append((recall, rate))
    return kept[::-1]


def curves(kept):
    """The frontier of each name: medians of recall and of rate over the rounds, of each effort."""
    threads = kept["workload"]["threads"]
    efforts = {}
    for name, result in (pair for results in kept["rounds"] for pair in results.items()):
        for point in result["points"]:
            if "batch" in point and point["threads"] == threads:
                efforts.setdefault(name, {}).setdefault(point["effort"], []).append((point["recall"], point["batch"]))
    named = {}
    for name, runs in efforts.items():
        medians = [tuple(map(statistics.median, zip(*some))) for some in runs.values()]
        named[name] = frontier([point for point in medians if point[0] >= RECALLS[0]])
    return {name: points for name, points in named.items() if points}


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def line(points, colour, more=""):
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" {more}/>'


class Rates:
    """The axis of rates: logarithmic, from the power of ten below the slowest to the one above the fastest."""

    def __init__(self, rates):
        self.low, self.high = math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates) * 1.01))

    def up(self, rate):
        """Where a rate lies."""
        return TOP + HIGH * (self.high - math.log10(rate)) / (self.high - self.low)


def grid(rates, k):
    """Lines at powers of ten and at recalls, with their numbers, and what the axes count."""
    shapes = []
    for power in range(rates.low, rates.high + 1):
        y = rates.up(10**power)
        shapes += [line([(LEFT, y), (LEFT + WIDE, y)], "#cccccc"), text(LEFT - 8, y + 4, f"{10**power:,}", 'text-anchor="end"')]
    for recall in RECALLS:
        x = across(recall)
        shapes += [line([(x, TOP), (x, TOP + HIGH)], "#cccccc"), text(x, TOP + HIGH + 20, f"{recall}", 'text-anchor="middle"')]
    shapes.append(text(LEFT + WIDE / 2, TOP + HIGH + 44, f"recall@{k}", 'text-anchor="middle"'))
    return shapes


def looks_of(names):
    """The colour and the attributes of each name's line: ours are thick and warm; where colours come again, dashes differ."""
    looks, counts = {}, {True: 0, False: 0}
    for name in names:
        is_ours = name.startswith("vexfs")
        colours = OURS if is_ours else THEIRS
        again, which = divmod(counts[is_ours], len(colours))
        counts[is_ours] += 1
        width = 3 if is_ours else 1.5
        looks[name] = (colours[which], f'stroke-width="{width}" stroke-dasharray="{DASHES[again % len(DASHES)]}"')
    return looks


def curve(name, points, rates, look, y):
    """A line with its points, and its name at the right."""
    colour, stroke = look
    places = [(across(recall), rates.up(rate)) for recall, rate in points]
    dots = [f'<circle cx="{x:.1f}" cy="{at:.1f}" r="3" fill="{colour}"/>' for x, at in places]
    x = LEFT + WIDE + 20
    return [line(places, colour, stroke), *dots, line([(x, y - 4), (x + 30, y - 4)], colour, stroke), text(x + 38, y, name)]


def draw(kept):
    """The picture of what was kept of `search`: the first names, which are ours, above the others."""
    workload, named = kept["workload"], curves(kept)
    rates = Rates([rate for points in named.values() for _, rate in points])
    looks = looks_of(named)
    size = f'{LEFT + WIDE + 230}" height="{max(TOP + HIGH + 60, TOP + 20 * len(named) + 20)}'
    shapes = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" font-family="sans-serif" font-size="13">']
    shapes.append('<rect width="100%" height="100%" fill="white"/>')
    title = f"{workload['name']}: {workload['rows']:,} × {workload['dim']}, batches, {workload['threads']} threads, queries per second"
    shapes += [text(LEFT, 28, title, 'font-size="16"'), *grid(rates, workload["k"])]
    for at, (name, points) in reversed(list(enumerate(named.items()))):
        shapes += curve(name, points, rates, looks[name], TOP + 14 + 20 * at)
    return "\n".join([*shapes, "</svg>", ""])
