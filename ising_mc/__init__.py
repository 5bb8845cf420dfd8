"""Fast and exact Monte Carlo sampling of Ising and Hopfield systems."""

__version__ = "0.3.0"
