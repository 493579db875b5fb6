"""Growth: what VexFS takes for more rows, or for longer ones, and the exponent with which it grows."""

import argparse
import math
import os
import statistics
import sys
import tempfile

import numpy

import clusters
import panels
from process import observe
from search import RECALLS, best, latency
from start import drop_index

QUERIES = 200
# Queries that are each asked of a fresh process that finds nothing in the page cache.
COLD = 5
MIB = 1 << 20

# What is measured: under which name, with which heading, in which unit.
MEASURES = (
    ("build", "build s", 1),
    ("memory", "memory of the build, MiB", MIB),
    ("bytes", "MiB on the device", MIB),
    ("single", "one query, p50 µs", 1),
    ("batch", "query of a batch, µs", 1),
    ("read", "read by a cold query, MiB", MIB),
)


def one_by_one(arguments, tools, scratch):
    """Yields the sizes so far whenever there is one more: of each, what was measured of every kind of index."""
    done = []
    for count in arguments.rows:
        for dim in arguments.dims:
            print(f"{count:,} × {dim} …", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                done.append({"rows": count, "dim": dim, "results": size(count, dim, arguments, tools, folder)})
            yield done


def size(count, dim, arguments, tools, folder):
    """Rows of one size: builds and searches, and then cold queries of the same image."""
    files = workload(count, dim, folder)
    image = os.path.join(folder, "image")
    tools.make(numpy.load(files.train, mmap_mode="r"), image)
    results = tools.bench(files, arguments.kinds, arguments.threads, image, RECALLS[0])
    return {name: measured(result, tools, image, folder, arguments.threads) for name, result in results.items()}


def workload(count, dim, folder):
    """Files of rows, of queries and of their true neighbours."""
    made = {"train": clusters.rows(count, dim, 0), "test": clusters.rows(QUERIES, dim, 1)}
    made["truth"] = clusters.truth(made["train"], made["test"])
    files = {what: os.path.join(folder, f"{what}.npy") for what in made}
    for what, file in files.items():
        numpy.save(file, made[what])
    return argparse.Namespace(**files)


def measured(result, tools, image, folder, threads):
    """The figures of one index, or of the rows without one: their build is the import, and what they take are the rows."""
    most = best(result, "batch", RECALLS[0], threads)
    index = result.get("index")
    figures = {
        "build": result["build"] if index else result["durable"],
        "memory": result.get("memory"),
        "bytes": result["index_bytes"] if index else result["bytes"],
        "single": latency(result, RECALLS[0])[0],
        "batch": 1e6 / most if most else None,
    }
    command = [*tools.ask(image, index), "-c", "bench", *(["--recall", str(RECALLS[0])] if index else [])]
    return {**figures, "read": statistics.median(read_by(command, query, folder, threads) for query in range(COLD))}


def read_by(command, number, folder, threads):
    """Bytes that a fresh process reads from devices to answer one of the queries."""
    query = os.path.join(folder, "query.npy")
    numpy.save(query, numpy.load(os.path.join(folder, "test.npy"))[number : number + 1])
    drop_index(folder)
    return observe([*command, query], threads)["read"]


def axis(kept):
    """What grows: the name in the table, and its values in order."""
    what = "dim" if len({size["dim"] for size in kept["growth"]}) > 1 else "rows"
    return what, [size[what] for size in kept["growth"]]


def exponent(pairs):
    """The slope of the line of least squares through logarithms; nothing if there are not two of them."""
    logs = [(math.log(x), math.log(y)) for x, y in pairs]
    return statistics.linear_regression(*zip(*logs)).slope if len(logs) > 1 else None


def series(kept, name, measure):
    """What grows and what was measured, where there is anything."""
    pairs = zip(axis(kept)[1], (size["results"][name][measure] for size in kept["growth"]))
    return [pair for pair in pairs if pair[1]]


def table(kept):
    """The table: of every kind a line for each size, and one with the exponents."""
    what, values = axis(kept)
    lines = [f"| | {what} | " + " | ".join(head for _, head, _ in MEASURES) + " |", "|---|" + "--:|" * (len(MEASURES) + 1)]
    for name in kept["growth"][0]["results"]:
        for value, size in zip(values, kept["growth"]):
            found = [(size["results"][name][measure], unit) for measure, _, unit in MEASURES]
            lines.append(f"| {name} | {value:,} | " + " | ".join(number(*one) for one in found) + " |")
        slopes = [exponent(series(kept, name, measure)) for measure, _, _ in MEASURES]
        lines.append("| | *exponent* | " + " | ".join("–" if slope is None else f"*{slope:.2f}*" for slope in slopes) + " |")
    return "\n".join(lines)


def number(value, unit):
    """A value in its unit, to three digits; a dash if there is none."""
    if value is None:
        return "–"
    value /= unit
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{min(digits, 3)}f}"


def draw(kept):
    """A picture with a panel for each measure."""
    what, _ = axis(kept)
    names = list(kept["growth"][0]["results"])
    fixed = kept["growth"][0]["rows" if what == "dim" else "dim"]
    title = f"growth with {'d' if what == 'dim' else 'n'}; {'n' if what == 'dim' else 'd'} = {fixed:,}, recall ≥ {RECALLS[0]}"
    shown = []
    for measure, head, unit in MEASURES:
        lines = {name: [(x, y / unit) for x, y in series(kept, name, measure)] for name in names}
        shown.append((head, {name: points for name, points in lines.items() if points}))
    return panels.draw(title, names, shown)
