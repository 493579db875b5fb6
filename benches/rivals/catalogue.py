"""The names by which rivals are asked for, and those that a table has without being asked."""

from databases import Chroma, Lance, QdrantEdge, QdrantLocal, SqliteVec
from libraries import DiskAnn, Faiss, Hnswlib, Scann, Svs, Usearch

RIVALS = {
    "faiss-flat": lambda: Faiss("flat"),
    "faiss-hnsw": lambda: Faiss("hnsw"),
    "faiss-ivfpqfs": lambda: Faiss("ivf"),
    "hnswlib": Hnswlib,
    "usearch": lambda: Usearch(is_mapped=False),
    "usearch-mapped": lambda: Usearch(is_mapped=True),
    "svs-f32": lambda: Svs("f32"),
    "svs-lvq4x8": lambda: Svs("lvq"),
    "svs-leanvec": lambda: Svs("leanvec"),
    "scann": Scann,
    "diskann-memory": lambda: DiskAnn(is_on_disk=False),
    "diskann-disk": lambda: DiskAnn(is_on_disk=True),
    "lancedb-flat": lambda: Lance("flat"),
    "lancedb-ivfpq": lambda: Lance("ivfpq"),
    "lancedb-hnsw": lambda: Lance("hnsw"),
    "chromadb": Chroma,
    "qdrant-edge": lambda: QdrantEdge(is_exact=False),
    "qdrant-edge-flat": lambda: QdrantEdge(is_exact=True),
    "qdrant-local": QdrantLocal,
    "sqlite-vec": SqliteVec,
}
