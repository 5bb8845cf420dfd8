"""Fast and exact Monte Carlo sampling of the Ising model."""

__version__ = "0.2.0"
