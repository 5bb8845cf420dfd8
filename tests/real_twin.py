"""Slow twins of the kernels for real couplings, in plain numpy, written from the definitions.

They share with the kernels the plan by which random words are handed out and the order of the float32 operations, and
nothing else: couplings are a matrix, spins +1 and -1, and every local field is a sum over all sites.
"""

import numpy as np
from twins import pack, unpack

LANES, GENERATORS = 64, 32
FLOAT = np.float32
POLYNOMIAL = [
    FLOAT(c)
    for c in (
        1.0,
        0.6931471824645996,
        0.24022647738456726,
        0.055503323674201965,
        0.009618437848985195,
        0.0013398938945,
        0.00015353311027865857,
    )
]


def fma(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """x y + z in float32, rounded once (but for ties within 2**-29, which no test meets)."""
    return (np.float64(x) * np.float64(y) + np.float64(z)).astype(FLOAT)


def power_of_two(cost: np.ndarray, exact_scale: np.ndarray) -> np.ndarray:
    """2**(cost scale) as the kernel rounds it."""
    scale = exact_scale.astype(FLOAT)
    low = (exact_scale - scale).astype(FLOAT)
    high = cost.astype(FLOAT)
    rest = (cost - high.astype(np.int64)).astype(FLOAT)
    n = np.rint(np.float64(high) * np.float64(scale)).astype(FLOAT)
    r = fma(rest, scale, fma(high, low, fma(high, scale, -n)))
    p = np.full_like(r, POLYNOMIAL[-1])
    for c in POLYNOMIAL[-2::-1]:
        p = fma(p, r, c)
    return np.ldexp(p, n.astype(np.int64)).astype(FLOAT)


def thresholds(cost: np.ndarray, unit: float, temperature: np.ndarray, heat_bath: bool) -> np.ndarray:
    """2**16 times the probabilities to turn at a cost of 2 `cost` units."""
    scale = np.minimum(2 * unit / (temperature * np.log(2)), 60.0)
    limit = np.minimum(np.ceil(60 / scale), 2**29).astype(np.int64)
    if heat_bath:
        return FLOAT(65536) / (FLOAT(1) + power_of_two(np.clip(cost, -limit, limit), scale))
    return FLOAT(65536) * power_of_two(np.clip(cost, 0, limit), -scale)


def turn(x: np.ndarray, by: int) -> np.ndarray:
    return (x << np.uint64(by)) | (x >> np.uint64(64 - by))


class Generators:
    """32 generators side by side: xoroshiro128++ (Blackman and Vigna 2021)."""

    def __init__(self, states: np.ndarray) -> None:
        self.a, self.b = states[:GENERATORS].copy(), states[GENERATORS:].copy()

    def draw(self, which: slice = slice(None)) -> np.ndarray:
        a, b = self.a[which], self.b[which]
        out, mixed = turn(a + b, 17) + a, a ^ b
        self.a[which] = turn(a, 49) ^ mixed ^ (mixed << np.uint64(21))
        self.b[which] = turn(mixed, 28)
        return out


class RealTwin:
    """64 replicas of n sites.  groups: for each set of generators in turn, the sites that it updates, in order.

    couplings (n, n) and field (n,): whole numbers of `unit`.  A sweep lets the groups go one after the other.
    """

    def __init__(
        self, words: np.ndarray, random: np.ndarray, groups: list[tuple[int, list[int]]], couplings: np.ndarray,
        field: np.ndarray, unit: float, temperature: np.ndarray, update: str,
    ) -> None:  # fmt: skip
        self.spins = 2 * unpack(words).astype(np.int64) - 1  # (64, n)
        self.generators = [Generators(states) for states in random]
        self.groups, self.couplings, self.field, self.unit = groups, couplings.astype(np.int64), field, unit
        self.temperature = np.broadcast_to(np.asarray(temperature, float), LANES)
        self.heat_bath = update == "heat_bath"

    def words(self) -> np.ndarray:
        return pack(self.spins > 0)

    def random(self) -> np.ndarray:
        return np.array([np.concatenate([g.a, g.b]) for g in self.generators])

    def energies(self) -> np.ndarray:
        """In units."""
        return -((self.spins @ self.couplings) * self.spins).sum(1) // 2 - self.spins @ self.field

    def ups(self) -> np.ndarray:
        return (self.spins > 0).sum(1)

    def sweep(self) -> None:
        for which, sites in self.groups:
            for position, site in enumerate(sites):
                self.update(self.generators[which], site, position % 2)

    def update(self, generators: Generators, site: int, second: int) -> None:
        if not second:
            self.drawn = generators.draw().astype("<u8").view("<u4").astype(np.int64)
        cost = self.spins[:, site] * (self.spins @ self.couplings[site] + self.field[site])
        t = thresholds(cost, self.unit, self.temperature, self.heat_bath)
        whole = t.astype(np.int64)
        bits = (self.drawn >> (16 * second)) & 0xFFFF
        turned = bits < whole
        for lane in np.flatnonzero(bits == whole):
            more = int(generators.draw(slice(lane // 2, lane // 2 + 1))[0])
            turned[lane] = more < int((float(t[lane]) - whole[lane]) * 2.0**64)
        self.spins[turned, site] *= -1


def colour_groups(colours: np.ndarray, bands: int) -> list[tuple[int, list[int]]]:
    """The groups of a `RealTwin` that is to be a sparse kernel."""
    groups = []
    for colour in range(colours.max() + 1):
        sites = np.flatnonzero(colours == colour).tolist()
        for band in range(bands):
            groups.append((band, sites[band * len(sites) // bands : (band + 1) * len(sites) // bands]))
    return groups


def block_groups(n: int, block: int) -> list[tuple[int, list[int]]]:
    """The groups of a `RealTwin` that is to be the dense kernel."""
    return [(0, list(range(first, min(first + block, n)))) for first in range(0, n, block)]


def matrix(n: int, bonds: np.ndarray, couplings: np.ndarray) -> np.ndarray:
    """Symmetric couplings; a pair that stands there twice counts twice."""
    J = np.zeros((n, n), couplings.dtype)
    np.add.at(J, (bonds[:, 0], bonds[:, 1]), couplings)
    return J + J.T


def greedy_colours(n: int, bonds: np.ndarray) -> np.ndarray:
    """The first colour that no neighbour has, site after site."""
    colours = np.full(n, -1)
    for site in range(n):
        neighbours = np.concatenate([bonds[bonds[:, 0] == site, 1], bonds[bonds[:, 1] == site, 0]])
        taken = set(colours[neighbours].tolist())
        colours[site] = next(c for c in range(n + 1) if c not in taken)
    return colours


class PlainRealSampler:
    """Updates with a numpy Generator and float64; stale: all sites at the same time, from the old neighbours."""

    def __init__(
        self, J: np.ndarray, field: np.ndarray, temperature: float, update: str, seed: int, stale: bool
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.J, self.field, self.temperature, self.heat_bath = J, field, temperature, update == "heat_bath"
        n = len(field)
        self.together = [np.arange(n)] if stale else [np.array([site]) for site in range(n)]

    def set_spins(self, words: np.ndarray) -> None:
        self.spins = 2 * unpack(words).astype(np.int64) - 1

    def get_spins(self) -> np.ndarray:
        return pack(self.spins > 0)

    def sweep(self, sweeps: int) -> None:
        for _ in range(sweeps):
            for sites in self.together:
                spins = self.spins[:, sites]
                ratio = np.exp(-2 * spins * (self.spins @ self.J[:, sites] + self.field[sites]) / self.temperature)
                flips = self.rng.random(spins.shape) < (ratio / (1 + ratio) if self.heat_bath else ratio)
                self.spins[:, sites] = np.where(flips, -spins, spins)
