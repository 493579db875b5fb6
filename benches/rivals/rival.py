"""What every library and database is asked to do, and the numbers that all of them share."""

import importlib
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor

K = 10
BEAMS = (10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 200, 300, 500, 800)
LISTS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


def lists_of(count):
    """Lists of an inverted file: about 2.5 times the square root of the number of rows, a power of two."""
    return 1 << round(math.log2(2.5 * count**0.5))


class Rival:
    """An index in a folder: one process builds and saves it, others open and search it.

    The squared Euclidean distance is meant throughout; rows and queries are f32, and a row is known by its number.
    """

    # What is imported, and the effort of a search that is no part of a series.
    module = None
    usual = None

    def __init__(self):
        self.library = importlib.import_module(self.module)

    def build(self, rows, folder, threads):
        """Builds the index of the rows, in memory or at once in the folder."""
        raise NotImplementedError

    def save(self, folder):
        """Writes to the folder what `build` has not written."""

    def open(self, folder, shape, threads):
        """Opens what was saved: an index over rows of this shape (rows, dimensions)."""
        raise NotImplementedError

    def efforts(self):
        """Efforts of a search, from little to much."""
        return [None]

    def set(self, effort):
        """Searches from now on take this effort."""

    def one(self, query):
        """Numbers of the K nearest rows of one query."""
        raise NotImplementedError

    def batch(self, queries, threads):
        """The same of many queries; of a library without batches, by as many threads of Python."""
        if threads == 1:
            return [self.one(query) for query in queries]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.one, queries))


def make_durable(folder):
    """Flushes every file below the folder to the device; the bytes they take there."""
    taken = 0
    for place, _, names in os.walk(folder):
        for name in [".", *names]:
            handle = os.open(os.path.join(place, name), os.O_RDONLY)
            os.fsync(handle)
            taken += os.fstat(handle).st_blocks * 512 if name != "." else 0
            os.close(handle)
    return taken


def seconds_of(work, *arguments):
    """How long a call takes, and what it returns."""
    begun = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - begun, result
