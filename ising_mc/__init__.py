"""Fast and exact Monte Carlo sampling of the Ising model."""

__version__ = "0.1.0"
