"""Which update decorrelates faster: tau_int of Metropolis and heat bath over temperature.

    python benchmarks/updates.py > benchmarks/UPDATES.md

`auto` takes its border between the two (`algorithms.HOT`) from this table.
"""

from ising_mc import statistics
from ising_mc.algorithms import choose
from ising_mc.ising import System
from ising_mc.lattices import Lattice

SQUARE = (1.5, 2.0, 2.269, 2.6, 3.0, 3.5, 4.0, 5.0, 6.0, 6.5, 7.0, 8.0, 20.0, 50.0)
CASES = (
    ("square", (16, 16), SQUARE),
    ("square", (64, 64), SQUARE),
    ("cubic", (12, 12, 12), (3.5, 4.2, 4.5115, 5.0, 6.0, 7.0, 8.0, 9.0, 9.75, 10.5, 12.0, 30.0)),
    ("hypercubic", (8, 8, 8, 8), (6.0, 6.68, 7.5, 9.0, 11.0, 12.0, 13.0, 14.0, 16.0, 40.0)),
)


def main() -> None:
    print("# Autocorrelation times of the two updates, in sweeps (64 replicas, 1000 + 4000 sweeps from all up)\n")
    print("| lattice | T | e, Metropolis | e, heat bath | m^2, Metropolis | m^2, heat bath | ratio e | ratio m^2 |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, size, temperatures in CASES:
        system = System(Lattice(kind, size, (True,) * len(size)))
        for T in temperatures:
            taus = []
            for update in ("metropolis", "heat_bath"):
                sampler = choose(system, T, 64, update).sampler(system, 1, (), T, 64, 1)
                sampler.start(1, system.label, T, 0, "up")
                sampler.sweep(1000)
                series = sampler.record(4000, 1)
                e, m = series["energy"].astype(float), series["magnetization"] / system.n_sites
                taus += [statistics.mean(e).tau_int, statistics.mean(m * m).tau_int]
            cells = " | ".join(f"{tau:.2f}" for tau in (taus[0], taus[2], taus[1], taus[3]))
            ratios = f"{taus[0] / taus[2]:.2f} | {taus[1] / taus[3]:.2f}"
            print(f"| {kind} {system.label} | {T:g} | {cells} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
