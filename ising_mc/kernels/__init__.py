"""Numba kernels: numpy and numba only, one file an algorithm."""
