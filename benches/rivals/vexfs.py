"""VexFS, by its tools."""

import json
import os

from process import run
from rival import K

# Where plots begin.
FROM_RECALL = 0.8

# What the index of an image is called: its kind alone would be no name of one that has parameters.
INDEX = "index"


class Tools:
    """The tools in a folder, under the names that cargo gives them."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def bench(self, files, kinds, threads, where, least=FROM_RECALL):
        """Import, builds and searches by so many threads, as a result for each kind of index and one for comparing every row.

        Where: in an image that is made in a folder and removed, or in one that is there and keeps the collection `bench`.
        """
        place = ["--directory", where] if os.path.isdir(where) else ["-d", where]
        command = [self.path("vexfs-bench"), "run", "--json", *place, "--runs", "3", "--warm-ups", "1"]
        command += ["--from", str(least), "--threads", str(threads), "-k", str(K)]
        command += ["--train", files.train, "--test", files.test, "--ground-truth", files.truth]
        for kind in kinds:
            command += ["--index", kind]
        output = run(command, threads)
        if output is None:
            raise SystemExit("vexfs-bench failed")
        return results_of(json.loads(output))

    def image(self, files, kind, rows, path, threads):
        """An image with an index of the rows, or only the rows; bytes it takes."""
        self.make(rows, path, ["-D", str(rows.shape[1])])
        fill = [self.path("vexfs-import"), "-q", "-d", path, *(["--index", f"{kind},name={INDEX}"] if kind else []), files.train]
        if run(fill, threads) is None:
            raise SystemExit("no image could be filled")
        return os.stat(path).st_blocks * 512

    def make(self, rows, path, options=()):
        """An image with room for the rows and for indexes that take three times as much."""
        size = 4 * rows.nbytes + (256 << 20)
        if run([self.path("mkfs-vexfs"), "-q", *options, path, str(size // 1024)], 1) is None:
            raise SystemExit("no image could be made")

    def fill(self, image, file, memory):
        """The command that imports a file within so much memory."""
        return [self.path("vexfs-import"), "-q", "-d", image, "--memory", str(memory), file]

    def index(self, image, kind, name, memory):
        """The command that builds an index within so much memory."""
        return [self.path("vexfs-tune"), "-q", "-d", image, "--memory", str(memory), "--index", "add", f"{kind},name={name}"]

    def query(self, image, kind, query):
        """The command that answers one query over an image with an index, or with only rows."""
        return [*self.ask(image, kind and INDEX), query]

    def ask(self, image, index):
        """The command that answers queries through an index, or by comparing every row."""
        how = ["--index", index] if index else ["--exact"]
        return [self.path("vexfs-query"), "-q", "-d", image, "-k", str(K), *how]


def results_of(bench):
    """A result of vexfs-bench in the form of those of rivals."""
    rows, seconds = bench["import"]["bytes"], bench["import"]["seconds"]["mean"]
    results = {"vexfs exact": {"build": None, "durable": seconds, "bytes": rows, "points": []}}
    for index in bench["indexes"]:
        results[f"vexfs {index['spec']}"] = {
            "build": index["seconds"], "calibration": index["calibration_seconds"], "durable": seconds + index["seconds"], "bytes": rows + index["bytes"], "points": [],
            "index": index["name"], "index_bytes": index["bytes"], "memory": index["memory"],
        }
    for search in bench["searches"]:
        point = {"effort": f"{search['effort']}, {search['rerank']}", "threads": search["threads"], "recall": search["recall"]}
        point[search["mode"]] = search["qps"]["mean"]
        if search["mode"] == "single":
            point.update(p50=search["p50_us"], p99=search["p99_us"])
        results[f"vexfs {search['spec']}"]["points"].append(point)
    return results
