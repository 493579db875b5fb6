#!/usr/bin/env python3
"""Libraries and databases from PyPI beside VexFS: searches of the same vectors, starts of fresh processes,
less memory than rows; and how VexFS alone grows.

    python benches/rivals search --train T.npy --test Q.npy --truth G.npy [--json FILE] [--plot FILE.svg]
    python benches/rivals start  --train T.npy --test Q.npy [--json FILE]
    python benches/rivals memory --train T.npy --test Q.npy --truth G.npy --allowed MIB [--rivals diskann-disk] [--json FILE]
    python benches/rivals growth --rows N … --dims D … [--json FILE] [--plot FILE.svg]
    python benches/rivals show   FILE.json [--plot FILE.svg]

search builds every index and searches it with rising effort until nearly everything is found, each in processes of their own
that are bound to as many processors as they have threads; builds have all threads, searches one and then all. All take turns,
and the table has the medians of the rounds: of the efforts that reach a recall, the fastest counts.

start builds every index once, and then measures a fresh process that opens it and answers one query.

memory wants root: VexFS imports, builds and searches in a control group of so much memory, page cache included; rivals are built
outside and search inside. Every process finds its files out of the page cache.

growth makes rows of clusters with few inner dimensions, more of them or longer ones, and says with which exponent VexFS grows.

Rows and queries are taken as f32. What is not installed is passed over, with a word of why:

    pip install numpy faiss-cpu hnswlib usearch scalable-vs scann lancedb chromadb qdrant-client qdrant-edge-py \\
        sqlite-vec pysqlite3-binary

diskannpy wants an older numpy, so an environment of its own: pip install diskannpy; then --python diskann=ITS/bin/python.
"""

import argparse
import json
import os
import signal
import sys
import tempfile

import numpy

import growth
import memory
import plot
import search
import start
from catalogue import RIVALS
from process import Interpreters
from rival import K
from vexfs import Tools

# What draws the table of what a verb keeps.
TABLES = {"rounds": search.table, "starts": start.table, "limited": memory.table, "growth": growth.table}


def parser():
    names = list(RIVALS)
    whole = argparse.ArgumentParser(prog="rivals", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = whole.add_subparsers(dest="verb", required=True)
    searches, starts, limited, grows, shows = map(verbs.add_parser, ("search", "start", "memory", "growth", "show"))
    for verb in (searches, starts, limited):
        verb.add_argument("--train", required=True, help="rows, .npy")
        verb.add_argument("--test", required=True, help="queries, .npy")
        verb.add_argument("--name", help="of the workload [that of the file of rows]")
        asked = verb.add_argument("--rivals", nargs="*", default=names, choices=names, metavar="NAME", help=f"[all: {', '.join(names)}]")
        verb.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help="interpreter of the rivals that begin so")
        verb.add_argument("--limit", type=int, default=1800, help="seconds of a rival's step, or a build within less memory [%(default)s]")
    asked.default, asked.help = ["diskann-disk"], "[diskann-disk]"
    for verb in (searches, starts, limited, grows):
        verb.add_argument("--bin", default="target/release", help="folder with the tools of VexFS [%(default)s]")
        kinds = ["ivf", "ivf,codes=sq4"] if verb is limited else ["flat", "hnsw", "ivf"]
        verb.add_argument("--kinds", nargs="*", default=kinds, help=f"indexes of VexFS [{' '.join(kinds)}]")
        verb.add_argument("--threads", type=int, default=os.cpu_count(), help="[as many as processors]")
        verb.add_argument("--scratch", help="folder for indexes, on a disk [a temporary one]")
        verb.add_argument("--json", help="file that keeps what is measured, from result to result")
    for verb in (searches, limited):
        verb.add_argument("--truth", required=True, help="numbers of the true neighbours, .npy")
    searches.add_argument("--rounds", type=int, default=3, help="[%(default)s]")
    limited.add_argument("--allowed", type=int, required=True, metavar="MIB", help="memory of all processes, page cache included")
    grows.add_argument("--rows", nargs="+", type=int, required=True, metavar="N")
    grows.add_argument("--dims", nargs="+", type=int, required=True, metavar="D", help="several only with one --rows")
    shows.add_argument("kept", help="file that --json wrote")
    for verb in (searches, grows, shows):
        verb.add_argument("--plot", help="SVG of queries per second over recall, or of growth")
    return whole


def as_floats(arguments, folder):
    """Rows and queries as f32, which all of them take."""
    for what in ("train", "test"):
        file = os.path.join(folder, f"{what}.npy")
        numpy.save(file, numpy.load(getattr(arguments, what)).astype(numpy.float32))
        setattr(arguments, what, file)


def grown(arguments):
    """As `measured`, of VexFS alone, over rows that are made for it."""
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        for sizes in growth.one_by_one(arguments, Tools(arguments.bin), folder):
            yield {"threads": arguments.threads, "growth": sizes}


def measured(arguments):
    """Does what is asked for, and yields all of it so far, with what it is measured on, whenever there is more."""
    name = arguments.name or os.path.basename(arguments.train).split(".")[0]
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        as_floats(arguments, folder)
        rows = numpy.load(arguments.train, mmap_mode="r")
        shape = {"name": name, "rows": rows.shape[0], "dim": rows.shape[1], "bytes": rows.nbytes, "k": K, "threads": arguments.threads}
        interpreters = Interpreters(arguments.python, arguments.limit)
        common = (arguments.rivals, arguments.kinds, arguments.threads, Tools(arguments.bin), interpreters, folder)
        if arguments.verb == "start":
            parts = ({"starts": starts} for starts in start.one_by_one(arguments, *common))
        elif arguments.verb == "memory":
            shape["allowed"] = arguments.allowed << 20
            parts = ({"limited": results} for results in memory.one_by_one(arguments, *common, shape["allowed"]))
        else:
            parts = ({"rounds": rounds} for rounds in search.in_turns(arguments, *common, arguments.rounds))
        for part in parts:
            yield {"workload": shape, **part}


def write(path, words):
    with open(path, "w", encoding="utf-8") as file:
        file.write(words)


def main():
    # Ends as by an interrupt: what was started is stopped, and scratch files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    whole = parser()
    arguments = whole.parse_args()
    if arguments.verb == "growth" and min(len(arguments.rows), len(arguments.dims)) > 1:
        whole.error("either --rows or --dims grows")
    if arguments.verb == "show":
        with open(arguments.kept, encoding="utf-8") as file:
            kept = json.load(file)
    else:
        for kept in (grown if arguments.verb == "growth" else measured)(arguments):
            if arguments.json:
                write(arguments.json, json.dumps(kept, indent=1) + "\n")
    part = next(part for part in TABLES if part in kept)
    print(TABLES[part](kept))
    if getattr(arguments, "plot", None):
        write(arguments.plot, growth.draw(kept) if "growth" in kept else plot.draw(kept))


if __name__ == "__main__":
    main()
