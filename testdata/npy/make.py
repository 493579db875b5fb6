#!/usr/bin/env python3
"""Writes the files of this folder with numpy, so that the npy reader and writer are tested against the original.

Needs numpy and ml_dtypes; writes next to itself. Run again only to add files: those that exist come out the same.
"""

import pathlib

import ml_dtypes
import numpy as np

HERE = pathlib.Path(__file__).parent
(HERE / "types").mkdir(exist_ok=True)


def save(name, array, **options):
    np.save(HERE / f"{name}.npy", array, **options)


# types/<kind>_<le|be>_<c|f>.npy: every element type in both byte orders and both axis orders, 5 × 3.
index = np.arange(15).reshape(5, 3)
values = {"f": (index - 7) * 0.25, "i": index - 7, "u": index * 17, "b": index % 2 == 1}
for kind in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]:
    for end in ["le", "be"] if kind[1] != "1" else ["le"]:
        array = values[kind[0]].astype({"le": "<", "be": ">"}[end] + kind)
        for order in "cf":
            save(f"types/{kind}_{end}_{order}", np.array(array, order=order.upper()))
bf16 = values["f"].astype(ml_dtypes.bfloat16)
for order in "cf":
    save(f"types/bf16_le_{order}", np.array(bf16, order=order.upper()))

# Headers and shapes.
matrix = (np.arange(12).reshape(4, 3) * 0.5).astype("<f4")
for major in 2, 3:
    with open(HERE / f"version{major}.npy", "wb") as file:
        np.lib.format.write_array(file, matrix, version=(major, 0))
save("zero_rows", np.empty((0, 4), "<f4"))
save("zero_columns", np.empty((4, 0), "<f4"))
save("scalar", np.array(1.5, "<f4"))
save("one_axis", np.array([0.5, 1.5, -2.5], "<f4"))
save("three_axes", np.zeros((2, 3, 4), "<f4"))

# Types that hold no vectors.
save("object", np.array([[1, "x"]], dtype=object), allow_pickle=True)
save("str", np.array([["ab", "c"]]))
save("bytes", np.array([[b"ab", b"c"]]))
save("complex64", np.zeros((1, 2), "<c8"))
save("datetime64", np.array([["2020-01-01"]], dtype="datetime64[ns]"))
save("longdouble", np.zeros((1, 2), np.longdouble))
save("structured", np.zeros((2,), [("id", "<i8"), ("vector", "<f4", (3,))]))

# Values that are refused: each at row 2, column 1.
def spoilt(dtype, value):
    array = np.ones((4, 3), dtype)
    array[2, 1] = value
    return array

for order in "CF":
    save(f"nan_f4_{order.lower()}", np.array(spoilt("<f4", np.nan), order=order))
save("inf_f2", spoilt("<f2", -np.inf))
save("nan_f8_be", spoilt(">f8", np.nan))
save("overflow_f8", spoilt("<f8", 1e39))
save("inexact_i4", spoilt("<i4", 2**24 + 1))

# Rounding: numbers as f64 and as numpy rounds them to f32 and f16, half of them near ties.
rng = np.random.default_rng(20)
wide = rng.normal(size=(64, 4)) * 10.0 ** rng.integers(-9, 4, size=(64, 4))
ties = (rng.integers(1, 2048, size=(64, 4)) * 2 + 1) * 2.0 ** rng.integers(-26, 3, size=(64, 4)).astype(float)
ties *= 1 + rng.choice([0, 2.0**-50, -(2.0**-50)], size=(64, 4))
numbers = np.concatenate([wide, ties])
save("round_f8", numbers)
save("round_f4", numbers.astype("<f4"))
save("round_f2", numbers.astype("<f2"))

# Packed bits, ids and ground truth.
bits = rng.integers(0, 2, size=(5, 21)).astype(bool)
save("bits_bool", bits)
save("bits_packed", np.packbits(bits, axis=1, bitorder="little"))
save("ids_i8", np.array([5, 0, 2**62, 7], "<i8"))
save("ids_negative", np.array([5, 0, -3], ">i4"))
save("neighbors_i4", np.array([[3, 1, 2], [0, 2, 1]], "<i4"))
