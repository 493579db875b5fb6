"""Libraries that search in memory, and DiskANN."""

import os

from rival import BEAMS, K, LISTS, Rival, lists_of


class Faiss(Rival):
    """IndexFlat, HNSW (M = 16, efConstruction = 200), or 4-bit PQ with fast scan and rerank in an inverted file."""

    module = "faiss"

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.usual = {"flat": None, "hnsw": 64, "ivf": (16, 10)}[kind]

    def build(self, rows, folder, threads):
        self.library.omp_set_num_threads(threads)
        dim = rows.shape[1]
        if self.kind == "flat":
            self.index = self.library.IndexFlatL2(dim)
        elif self.kind == "hnsw":
            self.index = self.library.IndexHNSWFlat(dim, 16)
            self.index.hnsw.efConstruction = 200
        else:
            self.index = self.library.index_factory(dim, f"IVF{lists_of(len(rows))},PQ{dim // 2}x4fs,RFlat")
        self.index.train(rows)
        self.index.add(rows)

    def save(self, folder):
        self.library.write_index(self.index, os.path.join(folder, "index"))

    def open(self, folder, shape, threads):
        self.index = self.library.read_index(os.path.join(folder, "index"))

    def efforts(self):
        if self.kind == "flat":
            return [None]
        return BEAMS if self.kind == "hnsw" else [(lists, factor) for lists in LISTS for factor in (4, 10)]

    def set(self, effort):
        if self.kind == "hnsw":
            self.index.hnsw.efSearch = effort
        elif self.kind == "ivf":
            self.library.extract_index_ivf(self.index.base_index).nprobe = effort[0]
            self.index.k_factor = effort[1]

    def one(self, query):
        return self.batch(query[None], 1)[0]

    def batch(self, queries, threads):
        self.library.omp_set_num_threads(threads)
        return self.index.search(queries, K)[1]


class Hnswlib(Rival):
    """M = 16, ef_construction = 200."""

    module = "hnswlib"
    usual = 64

    def build(self, rows, folder, threads):
        self.index = self.library.Index(space="l2", dim=rows.shape[1])
        self.index.init_index(max_elements=len(rows), M=16, ef_construction=200)
        self.index.add_items(rows, num_threads=threads)

    def save(self, folder):
        self.index.save_index(os.path.join(folder, "index"))

    def open(self, folder, shape, threads):
        self.index = self.library.Index(space="l2", dim=shape[1])
        self.index.load_index(os.path.join(folder, "index"))

    def efforts(self):
        return BEAMS

    def set(self, effort):
        self.index.set_ef(effort)

    def one(self, query):
        return self.batch(query[None], 1)[0]

    def batch(self, queries, threads):
        return self.index.knn_query(queries, k=K, num_threads=threads)[0]


class Usearch(Rival):
    """f32, connectivity 16, expansion_add 200; opened by mapping the file, or by reading it."""

    module = "usearch.index"
    usual = 64

    def __init__(self, is_mapped):
        super().__init__()
        self.is_mapped = is_mapped

    def empty(self, dim):
        return self.library.Index(ndim=dim, metric="l2sq", dtype="f32", connectivity=16, expansion_add=200)

    def build(self, rows, folder, threads):
        import numpy

        self.index = self.empty(rows.shape[1])
        self.index.add(numpy.arange(len(rows)), rows, threads=threads)

    def save(self, folder):
        self.index.save(os.path.join(folder, "index"))

    def open(self, folder, shape, threads):
        self.index = self.empty(shape[1])
        (self.index.view if self.is_mapped else self.index.load)(os.path.join(folder, "index"))

    def efforts(self):
        return BEAMS

    def set(self, effort):
        self.index.expansion_search = effort

    def one(self, query):
        return self.index.search(query, K, threads=1).keys

    def batch(self, queries, threads):
        return self.index.search(queries, K, threads=threads).keys.reshape(len(queries), -1)


class Svs(Rival):
    """Vamana (degree 32, window 128) over f32, LVQ codes of 4 and 8 bits, or LeanVec to half the dimensions."""

    module = "svs"
    usual = 64

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def loader(self, file, dim):
        """Reads rows from a file of fvecs and codes them."""
        svs = self.library
        rows = svs.VectorDataLoader(file, svs.DataType.float32, dims=dim)
        if self.kind == "lvq":
            return svs.LVQLoader(rows, primary=4, residual=8, strategy=svs.LVQStrategy.Turbo)
        if self.kind == "leanvec":
            eight = svs.LeanVecKind.lvq8
            return svs.LeanVecLoader(rows, leanvec_dims=dim // 2, primary_kind=eight, secondary_kind=eight)
        return rows

    def build(self, rows, folder, threads):
        svs = self.library
        parameters = svs.VamanaBuildParameters(
            alpha=1.2, graph_max_degree=32, window_size=128, max_candidate_pool_size=384, prune_to=28
        )
        file = os.path.join(folder, "rows.fvecs")
        svs.write_vecs(rows, file)
        loader = self.loader(file, rows.shape[1])
        self.index = svs.Vamana.build(parameters, loader, svs.DistanceType.L2, num_threads=threads)
        os.remove(file)

    def save(self, folder):
        self.index.save(*(os.path.join(folder, part) for part in ("config", "graph", "data")))

    def open(self, folder, shape, threads):
        svs = self.library
        config, graph, data = (os.path.join(folder, part) for part in ("config", "graph", "data"))
        if self.kind == "lvq":
            data = svs.LVQLoader(data, strategy=svs.LVQStrategy.Turbo)
        elif self.kind == "leanvec":
            data = svs.LeanVecLoader(data)
        else:
            data = svs.VectorDataLoader(data, svs.DataType.float32)
        self.index = svs.Vamana(config, svs.GraphLoader(graph), data, svs.DistanceType.L2, num_threads=threads)

    def efforts(self):
        return BEAMS

    def set(self, effort):
        self.index.search_window_size = effort

    def one(self, query):
        return self.batch(query[None], 1)[0]

    def batch(self, queries, threads):
        if self.index.num_threads != threads:
            self.index.num_threads = threads
        return self.index.search(queries, K)[0]


class Scann(Rival):
    """A tree, 4-bit codes, reordering."""

    module = "scann.scann_ops.py.scann_ops_pybind"
    usual = (16, 100)

    def build(self, rows, folder, threads):
        lists = lists_of(len(rows))
        builder = self.library.builder(rows, K, "squared_l2").set_n_training_threads(threads)
        builder = builder.tree(lists, max(1, lists // 10), training_sample_size=min(len(rows), 250_000))
        self.index = builder.score_ah(2).reorder(100).build()

    def save(self, folder):
        self.index.serialize(folder)

    def open(self, folder, shape, threads):
        self.index = self.library.load_searcher(folder)

    def efforts(self):
        return [(lists, rerank) for lists in LISTS for rerank in (30, 100)]

    def set(self, effort):
        self.effort = dict(leaves_to_search=effort[0], pre_reorder_num_neighbors=effort[1])

    def one(self, query):
        return self.index.search(query, final_num_neighbors=K, **self.effort)[0]

    def batch(self, queries, threads):
        search = self.index.search_batched if threads == 1 else self.index.search_batched_parallel
        return search(queries, final_num_neighbors=K, **self.effort)[0]


class DiskAnn(Rival):
    """Vamana in memory (degree 32) or on the disk (degree 64, codes of 32 bytes in memory), complexity 128."""

    module = "diskannpy"
    usual = 64

    def __init__(self, is_on_disk):
        super().__init__()
        self.is_on_disk = is_on_disk

    def build(self, rows, folder, threads):
        common = dict(complexity=128, num_threads=threads, vector_dtype=rows.dtype.type, index_prefix="index")
        if self.is_on_disk:
            codes = len(rows) * 32 / (1 << 30)
            self.library.build_disk_index(
                rows, "l2", folder, graph_degree=64, search_memory_maximum=codes, build_memory_maximum=12.0, pq_disk_bytes=0, **common
            )
        else:
            self.library.build_memory_index(
                rows, "l2", folder, graph_degree=32, alpha=1.2, use_pq_build=False, num_pq_bytes=0, use_opq=False, **common
            )

    def open(self, folder, shape, threads):
        if self.is_on_disk:
            # With num_threads = 1 version 0.7.0 waits for itself; the processors it may use are bound from outside.
            self.index = self.library.StaticDiskIndex(
                folder, num_threads=max(2, threads), num_nodes_to_cache=0, cache_mechanism=0, index_prefix="index"
            )
            self.wide = dict(beam_width=4)
        else:
            self.index = self.library.StaticMemoryIndex(
                folder, num_threads=threads, initial_search_complexity=max(BEAMS), index_prefix="index"
            )
            self.wide = {}

    def efforts(self):
        return BEAMS

    def set(self, effort):
        self.complexity = effort

    def one(self, query):
        return self.index.search(query, K, self.complexity, **self.wide).identifiers

    def batch(self, queries, threads):
        return self.index.batch_search(queries, K, self.complexity, num_threads=threads, **self.wide).identifiers
