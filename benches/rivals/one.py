#!/usr/bin/env python3
"""One rival in a process of its own, which prints one line of JSON. `__main__.py` starts it, in the interpreter that has the rival.

    one.py build  NAME FOLDER THREADS TRAIN.npy                 builds and saves an index in the folder
    one.py search NAME FOLDER THREADS TEST.npy TRUTH.npy ROWS   opens it and searches with each effort
    one.py start  NAME FOLDER THREADS QUERY.npy ROWS            opens it and answers one query
"""

import json
import resource
import statistics
import sys
import time

import numpy

from catalogue import RIVALS
from rival import K, make_durable, seconds_of

# A recall after which no more effort is tried.
ENOUGH = 0.997
# How long queries are asked one by one, unless that were fewer than LEAST_QUERIES, and how long a batch is repeated.
SINGLE_SECONDS = 3.0
LEAST_QUERIES = 100
BATCH_SECONDS = 0.25


def build(rival, folder, threads, train):
    """Seconds until the index is built, and until it is durable; its bytes."""
    rows = numpy.load(train)
    built, _ = seconds_of(rival.build, rows, folder, threads)
    saved, _ = seconds_of(rival.save, folder)
    flushed, taken = seconds_of(make_durable, folder)
    return {"build": built, "durable": built + saved + flushed, "bytes": taken}


def search(rival, folder, threads, test, truth, rows):
    """Recall, and queries per second of singles and batches by so many threads, of each effort until one finds enough."""
    queries, truth = numpy.load(test), numpy.load(truth)
    rival.open(folder, (int(rows), queries.shape[1]), threads)
    points = []
    for effort in rival.efforts():
        rival.set(effort)
        count = affordable(rival, queries)
        point = {"effort": str(effort), "threads": threads, **batches(rival, queries[:count], truth, threads)}
        if threads == 1:
            point.update(singles(rival, queries[:count]))
        points.append(point)
        if point["recall"] >= ENOUGH:
            break
    return {"points": points}


def affordable(rival, queries):
    """How many queries may be asked one by one: all, or as many as the first ones promise to take SINGLE_SECONDS."""
    first = queries[:10]
    taken, _ = seconds_of(lambda: [rival.one(query) for query in first])
    return min(len(queries), max(LEAST_QUERIES, int(SINGLE_SECONDS / taken * len(first))))


def batches(rival, queries, truth, threads):
    """The median of batches that follow each other for BATCH_SECONDS, and the bytes that a query reads from devices."""
    times, before = [], read_so_far()
    while not times or sum(times) < BATCH_SECONDS:
        seconds, found = seconds_of(rival.batch, queries, threads)
        times.append(seconds)
    read = (read_so_far() - before) / (len(queries) * len(times))
    return {"recall": recall_of(found, truth), "batch": len(queries) / statistics.median(times), "read": read}


def read_so_far():
    """Bytes that this process has read from devices."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_inblock * 512


def singles(rival, queries):
    """Queries one after the other: how many per second, and latencies in microseconds."""
    times = [seconds_of(rival.one, query)[0] for query in queries]
    cuts = statistics.quantiles(times, n=100)
    return {"single": len(queries) / sum(times), "p50": cuts[49] * 1e6, "p99": cuts[98] * 1e6}


def recall_of(found, truth):
    """The share of the true neighbours that is among those found."""
    both = sum(len(set(map(int, rows[:K])) & set(true[:K].tolist())) for rows, true in zip(found, truth))
    return both / (K * len(found))


def start(rival, folder, threads, query, rows):
    """Seconds from opening the index to the first answer, without the interpreter and imports."""
    query = numpy.load(query)[0]
    begun = time.perf_counter()
    rival.open(folder, (int(rows), len(query)), threads)
    rival.set(rival.usual)
    rival.one(query)
    return {"net": time.perf_counter() - begun}


def main():
    verb, name, folder, threads, *rest = sys.argv[1:]
    work = {"build": build, "search": search, "start": start}[verb]
    print(json.dumps(work(RIVALS[name](), folder, int(threads), *rest)), flush=True)


if __name__ == "__main__":
    main()
