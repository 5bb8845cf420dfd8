"""Which update decorrelates faster: tau_int of Metropolis and heat bath over temperature, square lattice.

    python benchmarks/updates.py > benchmarks/UPDATES.md

`auto` takes its border between the two (`algorithms.HOT`) from this table.
"""

import numpy as np

from ising_mc import statistics
from ising_mc.square import Model, ReplicaSampler, Square

TEMPERATURES = (1.5, 2.0, 2.269, 2.6, 3.0, 3.5, 4.0, 5.0, 6.0, 6.5, 7.0, 8.0, 20.0, 50.0)


def main() -> None:
    print("# Autocorrelation times of the two updates, in sweeps (64 replicas, 1000 + 4000 sweeps from all up)\n")
    print("| L | T | e, Metropolis | e, heat bath | m^2, Metropolis | m^2, heat bath | ratio e | ratio m^2 |")
    print("|---|---|---|---|---|---|---|---|")
    for L in (16, 64):
        lattice = Square(L, L)
        for T in TEMPERATURES:
            taus = []
            for update in ("metropolis", "heat_bath"):
                sampler = ReplicaSampler(lattice, Model(), T, update)
                sampler.start(1, lattice.label, T, 0, "up")
                sampler.sweep(1000)
                unsatisfied, ups = sampler.sample(4000, 1)
                m = (2.0 * ups.T - lattice.n_sites) / lattice.n_sites
                taus += [statistics.mean(unsatisfied.T.astype(np.float64)).tau_int, statistics.mean(m * m).tau_int]
            cells = " | ".join(f"{tau:.2f}" for tau in (taus[0], taus[2], taus[1], taus[3]))
            print(f"| {L} | {T:g} | {cells} | {taus[0] / taus[2]:.2f} | {taus[1] / taus[3]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
