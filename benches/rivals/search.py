"""Searching: builds, sizes, and queries per second at a recall, of every rival and of VexFS, in turns."""

import statistics
import sys
import tempfile

import numpy

RECALLS = (0.95, 0.99)


def in_turns(files, names, kinds, threads, tools, interpreters, scratch, rounds):
    """Yields the rounds so far whenever there is one more result: in each a result for each name."""
    done = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            done.append(ours(files, kinds, threads, tools, folder))
        yield done
        for name in names:
            print(f"{name} …", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                result = theirs(files, name, threads, interpreters, folder)
            if result is not None:
                done[-1][name] = result
                yield done


def thread_counts(threads):
    """One, and as many as asked for."""
    return sorted({1, threads})


def ours(files, kinds, threads, tools, folder):
    """VexFS by each count of threads. Builds are those by all threads."""
    *fewer, results = [tools.bench(files, kinds, count, folder) for count in thread_counts(threads)]
    for less in fewer:
        for name, result in less.items():
            results[name]["points"] = result["points"] + [point for point in results[name]["points"] if "single" not in point]
    return results


def theirs(files, name, threads, interpreters, folder):
    """A rival, built by all threads, searched by each count of them; nothing if it fails."""
    rows = len(numpy.load(files.train, mmap_mode="r"))
    result = interpreters.ask("build", name, folder, threads, files.train)
    if result is None:
        return None
    result["points"] = []
    for count in thread_counts(threads):
        found = interpreters.ask("search", name, folder, count, files.test, files.truth, rows)
        if found is None:
            return None
        result["points"] += found["points"]
    return result


def best(result, what, recall, threads=1):
    """The most queries per second, in batch or single, of the efforts that reach a recall."""
    points = (point for point in result["points"] if point["threads"] == threads)
    return max((point[what] for point in points if what in point and point["recall"] >= recall), default=None)


def latency(result, recall):
    """p50 and p99 of the fastest single search that reaches a recall."""
    reach = [point for point in result["points"] if "p50" in point and point["recall"] >= recall]
    fastest = min(reach, key=lambda point: point["p50"], default=None)
    return (fastest["p50"], fastest["p99"]) if fastest else (None, None)


def median(values, form="{:,.0f}"):
    """The median of the values that there are, written so; a dash if there are none."""
    values = [value for value in values if value is not None]
    return form.format(statistics.median(values)) if values else "–"


def ratio(result, threads):
    """How many times as many queries per second all threads answer as one, at the lower recall."""
    one, all_of_them = (best(result, "batch", RECALLS[0], count) for count in (1, threads))
    return all_of_them / one if one and all_of_them else None


def cells(of, workload):
    """The cells of one name: its results, one of each round."""
    threads = workload["threads"]
    calibration = median([one.get("calibration") or None for one in of], " ({:.1f})").strip("–")
    row = [median([one["build"] for one in of], "{:.1f}") + calibration, median([workload["rows"] / one["durable"] for one in of])]
    row.append(median([one["bytes"] / workload["bytes"] for one in of], "{:.2f}"))
    for count in thread_counts(threads):
        row += [median([best(one, "batch", recall, count) for one in of]) for recall in RECALLS]
    if threads > 1:
        row.append(median([ratio(one, threads) for one in of], "{:.2f}"))
    row += [median([best(one, "single", recall) for one in of]) for recall in RECALLS]
    halves = [latency(one, RECALLS[0]) for one in of]
    row.append(" / ".join(median([half[at] for half in halves]) for at in (0, 1)))
    return row


def table(kept):
    """The table of medians over the rounds."""
    workload, rounds = kept["workload"], kept["rounds"]
    heads = ["build s (of it calibration)", "durable rows/s", "bytes / rows'"]
    for count in thread_counts(workload["threads"]):
        heads += [f"batch, {count} thread{'s'[:count - 1]}, q/s ≥ {RECALLS[0]}", f"≥ {RECALLS[1]}"]
    heads += ["ratio"] if workload["threads"] > 1 else []
    heads += [f"single q/s ≥ {RECALLS[0]}", f"≥ {RECALLS[1]}", f"p50 / p99 µs ≥ {RECALLS[0]}"]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    for name in dict.fromkeys(name for results in rounds for name in results):
        of = [results[name] for results in rounds if name in results]
        lines.append(f"| {name} | " + " | ".join(cells(of, workload)) + " |")
    return "\n".join(lines)
