"""Larger than memory: builds and searches by processes that may have no more memory, page cache included, than a part of the rows."""

import json
import os
import sys
import tempfile

import numpy

from group import Group
from process import answer_of, observe, run
from rival import K
from search import RECALLS, best, latency, median, thread_counts
from start import drop_index

# Recalls that VexFS is asked for, until one is found to be ENOUGH.
ASKED = ("0.8", "0.85", "0.9", "0.93", "0.95", "0.97", "0.98", "0.99")
ENOUGH = 0.985
BLOCK = 4096
MIB = 1 << 20


def one_by_one(files, names, kinds, threads, tools, interpreters, scratch, allowed):
    """Yields the results so far whenever there is one more. Rivals are built outside the group, by as much memory as they want."""
    results = {}
    with Group(allowed) as group:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            image = os.path.join(folder, "image")
            results["vexfs import"] = filled(files, image, threads, tools, group, allowed)
            yield results
            for kind in kinds:
                print(f"vexfs {kind} …", file=sys.stderr, flush=True)
                try:
                    results[f"vexfs {kind}"] = ours(files, kind, image, threads, tools, group, allowed, interpreters.limit)
                    yield results
                except RuntimeError as error:
                    print(f"  {error}", file=sys.stderr)
        for name in names:
            print(f"{name} …", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                result = theirs(files, name, threads, interpreters, group, folder)
            if result is not None:
                results[name] = result
                yield results


def cold(group, command, folder, threads, **more):
    """What a process in the group does that finds nothing of the folder in the page cache."""
    drop_index(folder)
    return observe(group.within(command), threads, **more)


def filled(files, image, threads, tools, group, allowed):
    """An image with the rows: half of what is allowed is for the import, the other half for the page cache."""
    rows = numpy.load(files.train, mmap_mode="r")
    tools.make(rows, image)
    seen = cold(group, tools.fill(image, files.train, allowed // 2), os.path.dirname(files.train), threads)
    return {"build": seen["seconds"], "anonymous": seen["anonymous"], "read": seen["read"], "bytes": rows.nbytes, "points": []}


def ours(files, kind, image, threads, tools, group, allowed, limit):
    """An index of VexFS, built within so many seconds and searched, both inside: a fresh process for each recall that is asked for.

    Raises RuntimeError where it is not built.
    """
    folder, before = os.path.dirname(image), os.stat(image).st_blocks
    name = f"index{before}"
    seen = cold(group, tools.index(image, kind, name, allowed // 2), folder, threads, limit=limit)
    result = {"build": seen["seconds"], "anonymous": seen["anonymous"], "read": seen["read"]}
    rows = numpy.load(files.train, mmap_mode="r")
    result.update(bytes=rows.nbytes + (os.stat(image).st_blocks - before) * 512, points=[])
    queries = numpy.load(files.test)
    lines = [json.dumps(query.tolist()) + "\n" for query in queries]
    how = ["--ground-truth", files.truth, "--stats", "-o", "jsonl"]
    for recall in ASKED:
        ask = [*tools.ask(image, name), *how, "--recall", recall]
        for count in thread_counts(threads):
            seen = cold(group, [*ask, "--threads", str(count), files.test], folder, count)
            found = answer_of(seen["errors"])
            point = {"effort": recall, "threads": count, "recall": found["recall"], "batch": found["qps"]}
            point.update(read=seen["read"] / len(queries), anonymous=seen["anonymous"])
            result["points"].append(point)
        seen = cold(group, [*ask, "--threads", "1", "-"], folder, 1, lines=lines)
        found = answer_of(seen["errors"])
        point = {"effort": recall, "threads": 1, "recall": found["recall"], "single": found["qps"]}
        point.update(p50=found["p50_us"], p99=found["p99_us"], read=seen["read"] / len(queries), anonymous=seen["anonymous"])
        result["points"].append(point)
        if found["recall"] >= ENOUGH:
            break
    return result


def theirs(files, name, threads, interpreters, group, folder):
    """A rival, searched inside; nothing if it fails."""
    rows = len(numpy.load(files.train, mmap_mode="r"))
    built = interpreters.ask("build", name, folder, threads, files.train)
    if built is None:
        return None
    result = {"build": built["build"], "bytes": built["bytes"], "points": []}
    for count in thread_counts(threads):
        drop_index(folder)
        command = group.within(interpreters.command("search", name, folder, count, files.test, files.truth, rows))
        output = run(command, count, interpreters.limit)
        if output is None:
            return None
        result["points"] += answer_of(output)["points"]
    return result


def fastest(result, what, threads):
    """The point of the most queries per second, in batch or single, among those that reach the lower recall."""
    most = best(result, what, RECALLS[0], threads)
    return next((point for point in result["points"] if most is not None and point.get(what) == most), {})


def cells(result, workload):
    """The cells of one name."""
    row = [median([result["build"]], "{:,.1f}"), median([over(result.get("anonymous"), MIB)], "{:,.0f}")]
    row += [median([over(result.get("read"), MIB)]), median([result["bytes"] / workload["bytes"]], "{:.2f}")]
    for what, threads in (("batch", workload["threads"]), ("single", 1)):
        point = fastest(result, what, threads)
        row += [median([point.get(what)]), median([over(point.get("read"), BLOCK)], "{:,.1f}")]
    row.append(" / ".join(median([over(value, 1e3)], "{:,.1f}") for value in latency(result, RECALLS[0])))
    most = max((point["anonymous"] for point in result["points"] if "anonymous" in point), default=None)
    return [*row, median([over(most, MIB)])]


def over(value, unit):
    """The value in units, if there is one."""
    return None if value is None else value / unit


def table(kept):
    """The table: a build, then the fastest searches that find enough, in batches by all threads and one by one."""
    workload = kept["workload"]
    recall, threads = RECALLS[0], workload["threads"]
    heads = ["build s", "anonymous MiB", "MiB read", "bytes / rows'", f"batch, {threads} threads, q/s ≥ {recall}", "blocks read / query"]
    heads += [f"single q/s ≥ {recall}", "blocks read / query", "p50 / p99 ms", "anonymous MiB"]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    for name, result in kept["limited"].items():
        lines.append(f"| {name} | " + " | ".join(cells(result, workload)) + " |")
    return "\n".join(lines)
