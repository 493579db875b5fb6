#!/usr/bin/env python3
"""Makes the data of the demo from the Fashion-MNIST files (Debian package dataset-fashion-mnist).

usage: make.py DIR      DIR holds train-images-idx3-ubyte.gz and its three companions
Writes fashion-4000.npy (the first 4,000 training images, 4000 x 784 u8), fashion-4000.keys (a name for each) and
queries.npy (three test images, 3 x 784 u8), beside itself. Needs nothing but Python.
"""
import gzip
import os
import struct
import sys

NAMES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"]
HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = 4000
QUERIES = [0, 18, 2]  # test images: an ankle boot, a bag, a trouser


def unpack(folder, name, header):
    with gzip.open(os.path.join(folder, name)) as f:
        return f.read()[header:]


def save(name, rows):
    head = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 784), }" % len(rows)
    head += " " * (64 - (11 + len(head)) % 64) + "\n"
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + b"".join(rows))


def main(folder):
    images = unpack(folder, "train-images-idx3-ubyte.gz", 16)
    labels = unpack(folder, "train-labels-idx1-ubyte.gz", 8)
    save("fashion-4000.npy", [images[i * 784:(i + 1) * 784] for i in range(ROWS)])
    with open(os.path.join(HERE, "fashion-4000.keys"), "w") as f:
        f.writelines("%s-%04d\n" % (NAMES[labels[i]], i) for i in range(ROWS))
    tests = unpack(folder, "t10k-images-idx3-ubyte.gz", 16)
    save("queries.npy", [tests[i * 784:(i + 1) * 784] for i in QUERIES])


if __name__ == "__main__":
    main(sys.argv[1])
