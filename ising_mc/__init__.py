"""Fast and exact Monte Carlo sampling of Ising, Hopfield and Boltzmann systems."""

__version__ = "0.1.0"
