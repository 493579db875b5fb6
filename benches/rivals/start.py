"""Starting: a fresh process opens a saved index and answers one query."""

import os
import statistics
import sys
import tempfile

import numpy

from process import anonymous_memory, answer_of, run, watch

# Processes whose median counts in each state of the page cache, and those whose memory is watched.
REPEATS, WATCHED = 5, 3
DROP = "/proc/sys/vm/drop_caches"
MIB = 1 << 20


def keep(folder):
    """Leaves everything in the page cache."""


def drop_index(folder):
    """Drops the files of the index from the page cache; programs and libraries stay."""
    for place, _, names in os.walk(folder):
        for name in names:
            handle = os.open(os.path.join(place, name), os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def drop_all(folder):
    """Drops the page cache, so that programs and libraries are read from the device too."""
    os.sync()
    with open(DROP, "w", encoding="ascii") as drop:
        drop.write("3")


def states():
    """What is done to the page cache before a process starts; only root may drop all of it."""
    named = {"warm": keep, "index cold": drop_index}
    return {**named, "all cold": drop_all} if os.access(DROP, os.W_OK) else named


def measure(command, folder, threads):
    """A command that answers one query: anonymous memory, and in each state seconds and bytes read."""
    watch(command, threads)
    result = {"anonymous": max(anonymous_memory(command, threads) for _ in range(WATCHED))}
    for name, prepare in states().items():
        runs = []
        for _ in range(REPEATS):
            prepare(folder)
            wall, read, output = watch(command, threads)
            runs.append({"wall": wall, "read": read, "net": (answer_of(output) or {}).get("net", wall)})
        result[name] = {what: statistics.median(one[what] for one in runs) for what in runs[0]}
    return result


def one_by_one(files, names, kinds, threads, tools, interpreters, scratch):
    """Yields the results so far whenever there is one more: of each index of VexFS and each rival, over the same rows, for one query."""
    results = {"/bin/true": measure(["/bin/true"], scratch, threads)}
    rows = numpy.load(files.train, mmap_mode="r")
    query = os.path.join(scratch, "query.npy")
    numpy.save(query, numpy.load(files.test)[:1])
    for kind in [None, *kinds]:
        results[f"vexfs {kind or 'exact'}"] = ours(files, kind, rows, query, threads, tools, scratch)
        yield results
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        result = theirs(files, name, rows, query, threads, interpreters, scratch)
        if result is not None:
            results[name] = result
            yield results


def ours(files, kind, rows, query, threads, tools, scratch):
    """VexFS with an index, as vexfs-query answers."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        image = os.path.join(folder, "image")
        taken = tools.image(files, kind, rows, image, threads)
        return {"bytes": taken, **measure(tools.query(image, kind, query), folder, threads)}


def theirs(files, name, rows, query, threads, interpreters, scratch):
    """A rival; nothing if it fails."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        built = interpreters.ask("build", name, folder, threads, files.train)
        command = interpreters.command("start", name, folder, threads, query, len(rows))
        if built is None or run(command, threads) is None:
            return None
        return {"bytes": built["bytes"], **measure(command, folder, threads)}


def table(kept):
    """Times in milliseconds, of the whole process and without interpreter and imports; memory and bytes read in MiB."""
    named = list(next(iter(kept["starts"].values())))
    named = [name for name in ("warm", "index cold", "all cold") if name in named]
    heads = ["bytes / rows'", "anonymous MiB"]
    for name in named:
        heads += [f"{name}: ms", "without interpreter", "MiB read"]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    for name, result in kept["starts"].items():
        row = [f"{result['bytes'] / kept['workload']['bytes']:.2f}" if "bytes" in result else ""]
        row.append(f"{result['anonymous'] / MIB:,.1f}")
        for state in (result[name] for name in named):
            row += [f"{state['wall'] * 1e3:,.1f}", f"{state['net'] * 1e3:,.1f}", f"{state['read'] / MIB:,.1f}"]
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    return "\n".join(lines)
