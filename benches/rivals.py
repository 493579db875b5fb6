#!/usr/bin/env python3
"""Searches the same vectors with libraries from PyPI and with vexfs-bench, in turns, and prints one table.

Usage: rivals.py --train T.npy --test Q.npy --truth G.npy [options]

Rows and queries are taken as f32. Each round builds and measures every library and the indexes of VexFS, one after the other, each in a process of its own that is
bound to as many processors as it has threads. The table has the medians of the rounds. A library's efforts rise until the recall
asked for is reached; of those that reach it, the fastest counts, for single queries and for a batch of all queries each.

A library that is not installed is passed over: pip install numpy faiss-cpu hnswlib usearch scalable-vs scann
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

K = 10
RECALLS = (0.95, 0.99)
BEAMS = (10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 200, 300, 500, 800)
LISTS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


def lists_of(count):
    """Lists of an inverted file: about 2.5 times the square root of the number of rows, a power of two."""
    return 1 << round(math.log2(2.5 * count**0.5))


class Faiss:
    """IndexFlat, HNSW (M = 16, efConstruction = 200), and 4-bit PQ with fast scan and rerank in an inverted file."""

    def __init__(self, kind):
        self.kind = kind

    def build(self, rows, threads):
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(threads)
        dim = rows.shape[1]
        if self.kind == "flat":
            self.index = faiss.IndexFlatL2(dim)
        elif self.kind == "hnsw":
            self.index = faiss.IndexHNSWFlat(dim, 16)
            self.index.hnsw.efConstruction = 200
        else:
            self.index = faiss.index_factory(dim, f"IVF{lists_of(len(rows))},PQ{dim // 2}x4fs,RFlat")
        self.index.train(rows)
        self.index.add(rows)

    def efforts(self):
        if self.kind == "flat":
            return [None]
        return BEAMS if self.kind == "hnsw" else [(lists, factor) for lists in LISTS for factor in (4, 10)]

    def set(self, effort):
        if self.kind == "hnsw":
            self.index.hnsw.efSearch = effort
        elif self.kind == "ivf":
            self.faiss.extract_index_ivf(self.index.base_index).nprobe = effort[0]
            self.index.k_factor = effort[1]

    def search(self, queries, threads):
        self.faiss.omp_set_num_threads(threads)
        return self.index.search(queries, K)[1]


class Hnswlib:
    """M = 16, ef_construction = 200."""

    def build(self, rows, threads):
        import hnswlib

        self.index = hnswlib.Index(space="l2", dim=rows.shape[1])
        self.index.init_index(max_elements=len(rows), M=16, ef_construction=200)
        self.index.add_items(rows, num_threads=threads)

    def efforts(self):
        return BEAMS

    def set(self, effort):
        self.index.set_ef(effort)

    def search(self, queries, threads):
        return self.index.knn_query(queries, k=K, num_threads=threads)[0]


class Usearch:
    """f32, connectivity 16, expansion_add 200."""

    def build(self, rows, threads):
        import numpy
        from usearch.index import Index

        self.index = Index(ndim=rows.shape[1], metric="l2sq", dtype="f32", connectivity=16, expansion_add=200)
        self.index.add(numpy.arange(len(rows)), rows, threads=threads)

    def efforts(self):
        return BEAMS

    def set(self, effort):
        self.index.expansion_search = effort

    def search(self, queries, threads):
        found = self.index.search(queries, K, threads=threads)
        return found.keys.reshape(len(queries), -1)


class Svs:
    """Vamana (degree 32, window 128) over LVQ codes of 4 and 8 bits."""

    def build(self, rows, threads):
        import svs

        parameters = svs.VamanaBuildParameters(
            alpha=1.2, graph_max_degree=32, window_size=128, max_candidate_pool_size=384, prune_to=28
        )
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "rows.fvecs")
            svs.write_vecs(rows, file)
            loader = svs.VectorDataLoader(file, svs.DataType.float32, dims=rows.shape[1])
            loader = svs.LVQLoader(loader, primary=4, residual=8, strategy=svs.LVQStrategy.Turbo)
            self.index = svs.Vamana.build(parameters, loader, svs.DistanceType.L2, num_threads=threads)

    def efforts(self):
        return BEAMS

    def set(self, effort):
        self.index.search_window_size = effort

    def search(self, queries, threads):
        self.index.num_threads = threads
        return self.index.search(queries, K)[0]


class Scann:
    """A tree, 4-bit codes, reordering."""

    def build(self, rows, threads):
        from scann.scann_ops.py import scann_ops_pybind

        lists = lists_of(len(rows))
        builder = scann_ops_pybind.builder(rows, K, "squared_l2").set_n_training_threads(threads)
        builder = builder.tree(lists, max(1, lists // 10), training_sample_size=min(len(rows), 250_000))
        self.index = builder.score_ah(2).reorder(100).build()

    def efforts(self):
        return [(lists, rerank) for lists in LISTS for rerank in (30, 100)]

    def set(self, effort):
        self.effort = dict(leaves_to_search=effort[0], pre_reorder_num_neighbors=effort[1])

    def search(self, queries, threads):
        if len(queries) == 1:
            return [self.index.search(queries[0], final_num_neighbors=K, **self.effort)[0]]
        batched = self.index.search_batched if threads == 1 else self.index.search_batched_parallel
        return batched(queries, final_num_neighbors=K, **self.effort)[0]


RIVALS = {
    "faiss-flat": lambda: Faiss("flat"),
    "faiss-hnsw": lambda: Faiss("hnsw"),
    "faiss-ivfpqfs": lambda: Faiss("ivf"),
    "hnswlib": Hnswlib,
    "usearch": Usearch,
    "svs-lvq4x8": Svs,
    "scann": Scann,
}


def recall_of(found, truth):
    return sum(len(set(map(int, a[:K])) & set(b[:K].tolist())) for a, b in zip(found, truth)) / (K * len(truth))


def measure(name, train, test, truth, threads):
    """One library in this process: what it was built in, and recall, queries per second and latencies of each effort."""
    import numpy

    rows, queries = numpy.load(train), numpy.load(test)
    truth = numpy.load(truth)
    rival = RIVALS[name]()
    start = time.perf_counter()
    rival.build(rows, threads)
    result = {"build": time.perf_counter() - start, "points": []}
    few = queries[: max(1, min(len(queries), 200))] if name == "faiss-flat" else queries
    for effort in rival.efforts():
        rival.set(effort)
        rival.search(queries[:20], threads)
        start = time.perf_counter()
        found = rival.search(queries, threads)
        batch = time.perf_counter() - start
        times = []
        for query in few:
            start = time.perf_counter()
            rival.search(query[None], 1)
            times.append(time.perf_counter() - start)
        cuts = statistics.quantiles(times, n=100)
        result["points"].append({
            "recall": recall_of(found, truth),
            "batch": len(queries) / batch,
            "single": len(few) / sum(times),
            "p50": cuts[49] * 1e6,
            "p99": cuts[98] * 1e6,
        })
        if result["points"][-1]["recall"] >= 0.997:
            break
    print(json.dumps(result))


def ours(arguments, folder):
    """The same of VexFS: a name for each kind of index."""
    command = [os.path.join(arguments.bin, "vexfs-bench"), "run", "--json", "--directory", folder, "--runs", "3", "--warm-ups", "1"]
    command += ["--from", str(RECALLS[0] - 0.03), "--threads", str(arguments.threads), "-k", str(K)]
    command += ["--train", arguments.train, "--test", arguments.test, "--ground-truth", arguments.truth]
    for kind in arguments.kinds:
        command += ["--index", kind]
    output = run(command, arguments.threads)
    if output is None:
        sys.exit("vexfs-bench failed")
    bench = json.loads(output)
    results = {"vexfs exact": {"build": None, "points": []}}
    for index in bench["indexes"]:
        results[f"vexfs {index['spec']}"] = {"build": index["seconds"], "points": []}
    for search in bench["searches"]:
        points = results[f"vexfs {search['spec'] or 'exact'}"]["points"]
        point = {"recall": search["recall"], search["mode"]: search["qps"]["mean"]}
        if search["mode"] == "single":
            point.update(p50=search["p50_us"], p99=search["p99_us"])
        points.append(point)
    return results


def run(command, threads):
    """What a command prints, bound to the first processors; nothing if it fails."""
    processors = ",".join(map(str, range(threads)))
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), TF_CPP_MIN_LOG_LEVEL="3")
    done = subprocess.run(["taskset", "-c", processors, *command], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{' '.join(command[:4])}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return done.stdout


def as_floats(arguments, folder):
    """Rows and queries as f32, which all of the libraries take."""
    import numpy

    for what in ("train", "test"):
        file = os.path.join(folder, f"{what}.npy")
        numpy.save(file, numpy.load(getattr(arguments, what)).astype(numpy.float32))
        setattr(arguments, what, file)


def one_round(arguments, folder):
    results = ours(arguments, folder)
    files = ["--train", arguments.train, "--test", arguments.test, "--truth", arguments.truth]
    for name in arguments.rivals:
        command = [sys.executable, __file__, *files, "--threads", str(arguments.threads), "--one", name]
        output = run(command, arguments.threads)
        if output is not None:
            results[name] = json.loads(output.strip().splitlines()[-1])
    return results


def best(points, what, recall):
    return max((point[what] for point in points if what in point and point["recall"] >= recall), default=None)


def latency(points, recall):
    """p50 and p99 of the fastest single search that reaches a recall."""
    reach = [point for point in points if "p50" in point and point["recall"] >= recall]
    fastest = min(reach, key=lambda point: point["p50"], default=None)
    return (fastest["p50"], fastest["p99"]) if fastest else (None, None)


def median(values, form="{:,.0f}"):
    values = [value for value in values if value is not None]
    return form.format(statistics.median(values)) if values else "–"


def table(rounds):
    lines = ["| | build s | batch q/s ≥ 0.95 | ≥ 0.99 | single q/s ≥ 0.95 | ≥ 0.99 | p50 / p99 µs ≥ 0.95 |", "|---|--:|--:|--:|--:|--:|--:|"]
    names = list(dict.fromkeys(name for results in rounds for name in results))
    for name in names:
        of = [results[name] for results in rounds if name in results]
        cells = [median([one["build"] for one in of], "{:.1f}")]
        for what in ("batch", "single"):
            cells += [median([best(one["points"], what, recall) for one in of]) for recall in RECALLS]
        halves = [latency(one["points"], RECALLS[0]) for one in of]
        cells.append(" / ".join(median([half[at] for half in halves]) for at in (0, 1)))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--train", required=True, help="rows, .npy")
    parser.add_argument("--test", required=True, help="queries, .npy")
    parser.add_argument("--truth", required=True, help="numbers of the true neighbours, .npy")
    parser.add_argument("--bin", default="target/release", help="folder with vexfs-bench [%(default)s]")
    parser.add_argument("--kinds", nargs="*", default=["hnsw", "ivf"], help="indexes of VexFS [hnsw ivf]")
    parser.add_argument("--rivals", nargs="*", default=list(RIVALS), choices=list(RIVALS), help="libraries [all]")
    parser.add_argument("--threads", type=int, default=1, help="of builds and batches [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="[%(default)s]")
    parser.add_argument("--scratch", help="folder for images [a temporary one]")
    parser.add_argument("--one", choices=list(RIVALS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return measure(arguments.one, arguments.train, arguments.test, arguments.truth, arguments.threads)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        as_floats(arguments, folder)
        print(table([one_round(arguments, folder) for _ in range(arguments.rounds)]))


if __name__ == "__main__":
    main()
