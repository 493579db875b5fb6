#!/usr/bin/env python3
"""Queries per second of FAISS IndexFlatL2 over Fashion-MNIST, all 1,000 queries in one call.

usage: faiss_flat.py FOLDER THREADS      FOLDER has fashion-mnist.train.npy and fashion-mnist.test.npy
"""
import sys
import time

import faiss
import numpy as np

folder, threads = sys.argv[1], int(sys.argv[2])
faiss.omp_set_num_threads(threads)
rows = np.load(folder + "/fashion-mnist.train.npy").astype(np.float32)
queries = np.load(folder + "/fashion-mnist.test.npy").astype(np.float32)
index = faiss.IndexFlatL2(rows.shape[1])
index.add(rows)
index.search(queries[:10], 10)
begun = time.perf_counter()
index.search(queries, 10)
print(len(queries) / (time.perf_counter() - begun))
