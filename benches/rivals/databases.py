"""Databases that keep vectors in files of their own and run in the process that asks."""

import os
import threading

from rival import BEAMS, K, Rival, lists_of


class Lance(Rival):
    """LanceDB: without an index, 8-bit PQ of 8 dimensions in an inverted file, or HNSW over 8-bit codes; reranked."""

    module = "lancedb"

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.usual = {"flat": None, "ivfpq": (16, 20), "hnsw": (64, 3)}[kind]

    def build(self, rows, folder, threads):
        import pyarrow

        count, dim = rows.shape
        vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.reshape(-1)), dim)
        ids = pyarrow.array(range(count))
        table = self.library.connect(folder).create_table("rows", pyarrow.table({"id": ids, "vector": vectors}))
        if self.kind == "ivfpq":
            table.create_index(
                metric="l2", index_type="IVF_PQ", num_partitions=max(1, lists_of(count) // 4), num_sub_vectors=dim // 8
            )
        elif self.kind == "hnsw":
            table.create_index(metric="l2", index_type="IVF_HNSW_SQ", num_partitions=1, m=16, ef_construction=200)

    def open(self, folder, shape, threads):
        self.table = self.library.connect(folder).open_table("rows")

    def efforts(self):
        if self.kind == "flat":
            return [None]
        if self.kind == "ivfpq":
            return [(lists, refine) for lists in (1, 4, 16, 64) for refine in (5, 20)]
        return [(beam, 3) for beam in BEAMS[::2] if beam >= 3 * K]

    def set(self, effort):
        self.effort = effort

    def asked(self, query):
        """A search of one or of many queries with the effort that is set."""
        search = self.table.search(query, vector_column_name="vector").distance_type("l2").limit(K).select(["id", "_distance"])
        if self.kind == "flat":
            return search.bypass_vector_index()
        if self.kind == "ivfpq":
            return search.nprobes(self.effort[0]).refine_factor(self.effort[1])
        return search.ef(self.effort[0]).refine_factor(self.effort[1])

    def one(self, query):
        return self.asked(query).to_arrow()["id"].to_numpy()

    def batch(self, queries, threads):
        found = self.asked(list(queries)).to_arrow()
        answers = [[] for _ in queries]
        for query, row in zip(found["query_index"].to_pylist(), found["id"].to_pylist()):
            answers[query].append(row)
        return answers


class Chroma(Rival):
    """ChromaDB's persistent client: HNSW with max_neighbors = 16, ef_construction = 200."""

    module = "chromadb"
    usual = 64

    def client(self, folder):
        from chromadb.config import Settings

        return self.library.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))

    def build(self, rows, folder, threads):
        client = self.client(folder)
        graph = {"space": "l2", "ef_construction": 200, "max_neighbors": 16, "ef_search": self.usual, "num_threads": threads}
        collection = client.create_collection("rows", embedding_function=None, configuration={"hnsw": graph})
        step = client.get_max_batch_size()
        for first in range(0, len(rows), step):
            some = rows[first : first + step]
            collection.add(ids=[str(first + at) for at in range(len(some))], embeddings=some)

    def open(self, folder, shape, threads):
        self.folder = folder
        self.collection = self.client(folder).get_collection("rows", embedding_function=None)

    def efforts(self):
        return BEAMS[::2]

    def set(self, effort):
        """An effort is a property of the collection, and counts from when that is opened again."""
        from chromadb.api.shared_system_client import SharedSystemClient

        if self.collection.configuration["hnsw"]["ef_search"] != effort:
            self.collection.modify(configuration={"hnsw": {"ef_search": effort}})
            SharedSystemClient.clear_system_cache()
            self.open(self.folder, None, None)

    def one(self, query):
        return self.batch(query[None], 1)[0]

    def batch(self, queries, threads):
        found = self.collection.query(query_embeddings=queries, n_results=K, include=[])["ids"]
        return [[int(row) for row in rows] for rows in found]


class QdrantEdge(Rival):
    """Qdrant's own engine in the process: HNSW with m = 16, ef_construct = 200, or every row compared."""

    module = "qdrant_edge"

    def __init__(self, is_exact):
        super().__init__()
        self.is_exact = is_exact
        self.usual = None if is_exact else 64

    def build(self, rows, folder, threads):
        edge = self.library
        least = 1_000_000_000 if self.is_exact else 100
        config = edge.EdgeConfig(
            vectors={"": edge.EdgeVectorParams(size=rows.shape[1], distance=edge.Distance.Euclid)},
            hnsw_config=edge.HnswIndexConfig(m=16, ef_construct=200, full_scan_threshold=100, max_indexing_threads=threads),
            optimizers=edge.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=least, max_segment_size=100_000_000),
        )
        place = os.path.join(folder, "shard")
        os.mkdir(place)
        shard = edge.EdgeShard.create(place, config)
        for first in range(0, len(rows), 1000):
            some = rows[first : first + 1000].tolist()
            points = [edge.Point(id=first + at, vector=vector) for at, vector in enumerate(some)]
            shard.update(edge.UpdateOperation.upsert_points(points))
        shard.flush()
        if not self.is_exact:
            shard.optimize()
            shard.flush()
        shard.close()

    def open(self, folder, shape, threads):
        self.shard = self.library.EdgeShard.load(os.path.join(folder, "shard"))

    def efforts(self):
        return [None] if self.is_exact else BEAMS[::2]

    def set(self, effort):
        self.parameters = self.library.SearchParams(exact=True) if self.is_exact else self.library.SearchParams(hnsw_ef=effort)

    def one(self, query):
        nearest = self.library.Query.Nearest(query.tolist())
        found = self.shard.query(self.library.QueryRequest(limit=K, query=nearest, params=self.parameters))
        return [point.id for point in found]


class QdrantLocal(Rival):
    """The local mode of Qdrant's client: every row compared, by numpy."""

    module = "qdrant_client"

    def build(self, rows, folder, threads):
        models = self.library.models
        client = self.library.QdrantClient(path=folder)
        client.create_collection("rows", models.VectorParams(size=rows.shape[1], distance=models.Distance.EUCLID))
        for first in range(0, len(rows), 1000):
            some = rows[first : first + 1000].tolist()
            client.upsert("rows", models.Batch(ids=range(first, first + len(some)), vectors=some))
        client.close()

    def open(self, folder, shape, threads):
        self.client = self.library.QdrantClient(path=folder)

    def one(self, query):
        found = self.client.query_points("rows", query=query.tolist(), limit=K, with_payload=False)
        return [point.id for point in found.points]


class SqliteVec(Rival):
    """sqlite-vec: every row compared. Each thread has a connection of its own."""

    module = "sqlite_vec"

    def connect(self, folder):
        try:
            import pysqlite3 as sqlite
        except ImportError:
            import sqlite3 as sqlite
        connection = sqlite.connect(os.path.join(folder, "rows.db"))
        connection.enable_load_extension(True)
        self.library.load(connection)
        return connection

    def build(self, rows, folder, threads):
        connection = self.connect(folder)
        connection.execute(f"create virtual table rows using vec0(vector float[{rows.shape[1]}])")
        with connection:
            pairs = ((row, vector.tobytes()) for row, vector in enumerate(rows))
            connection.executemany("insert into rows(rowid, vector) values (?, ?)", pairs)
        connection.close()

    def open(self, folder, shape, threads):
        self.folder = folder
        self.local = threading.local()

    def one(self, query):
        if not hasattr(self.local, "connection"):
            self.local.connection = self.connect(self.folder)
        text = f"select rowid from rows where vector match ? and k = {K} order by distance"
        return [row for row, in self.local.connection.execute(text, (query.tobytes(),))]
