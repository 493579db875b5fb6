"""Rows with a structure: clusters on a curved surface of few dimensions in a space of many, the same for the same seed."""

import numpy

from rival import K

# Dimensions of the surface, clusters on it, how far apart they are for their size, and how far rows lie off the surface.
LATENT, CLUSTERS, APART, OFF = 16, 256, 1.5, 0.05
SEED = 20260101
# Numbers that are made, or distances that are computed, at a time.
PIECE = 1 << 24


def rows(count, dim, seed):
    """So many rows as f32; those of different seeds are of one distribution, which depends on the dimension alone."""
    shape = numpy.random.default_rng([SEED, dim])
    centres = shape.normal(size=(CLUSTERS, LATENT)) * APART
    spread = shape.normal(size=(LATENT, dim)) / LATENT**0.5
    random = numpy.random.default_rng([SEED, dim, seed])
    made = numpy.empty((count, dim), numpy.float32)
    step = max(1, PIECE // dim)
    for first in range(0, count, step):
        some = made[first : first + step]
        places = centres[random.integers(CLUSTERS, size=len(some))] + random.normal(size=(len(some), LATENT))
        some[:] = numpy.tanh(places @ spread)
        some += OFF * random.standard_normal(some.shape, dtype=numpy.float32)
    return made


def truth(train, queries):
    """Numbers of the K nearest rows of each query, nearest first."""
    step = max(1, PIECE // len(queries))
    near = [numpy.empty((len(queries), 0)), numpy.empty((len(queries), 0), numpy.int64)]
    for first in range(0, len(train), step):
        some = train[first : first + step]
        # The squared length of the query, which all its distances share, is left out.
        far = numpy.einsum("ij,ij->i", some, some) - 2 * (queries @ some.T)
        picks = numpy.argpartition(far, K, axis=1)[:, :K] if len(some) > K else numpy.arange(len(some))[None].repeat(len(queries), 0)
        near[0] = numpy.hstack([near[0], numpy.take_along_axis(far, picks, 1)])
        near[1] = numpy.hstack([near[1], picks + first])
        order = numpy.argsort(near[0], axis=1, kind="stable")[:, :K]
        near = [numpy.take_along_axis(part, order, 1) for part in near]
    return near[1].astype(numpy.int32)
