"""All contests of the benchmark suite: which work, in which sizes, against whom."""

import math

from contenders import SEED, TC, TC_3D
from harness import Contender, Contest
from learners import checked_machine, exact_activity

from ising_mc import exact
from ising_mc.ising import realize
from ising_mc.run import units_of
from ising_mc.spec import parse

WORKED = "[grid]\nreplicas = {replicas}\ntemperatures = [{T}]\n[schedule]\nsweeps = 1\n"
WARM, HOT = 2.8, 8.0
CHECKED = 16  # side of the lattices whose energies are checked
SMALL = f"{CHECKED} x {CHECKED} sites, Tc"
LADDER = [0.9 + 0.1 * k for k in range(16)]
CHECK_LADDER = [TC, 2.4, 2.6, 2.9]
N_DENSE, T_DENSE = 1024, 0.5
N_CHECKED, T_CHECKED = 16, 1.2


def lattice(kind: str, L: int, T: float, update: str, replicas: int = 64, more: str = "") -> str:
    return (
        f'[lattice]\nkind = "{kind}"\nsize = [{L}]\n{WORKED.format(T=T, replicas=replicas)}'
        f'[algorithm]\nkind = "{update}"\n{more}'
    )


def ours(text: str, check: str = "", exact: float | None = None, system: str = "", **options: object) -> Contender:
    return Contender("ising-mc", "contenders:engine", {"text": text, "check_text": check, **options}, exact, system)


def metropolis_2d(L: int, T: float = TC) -> Contest:
    packing = 'packing = "sites"\n' if L >= 1024 else ""
    text = lattice("square", L, T, "metropolis", 1 if packing else 64, packing)
    check = lattice("square", CHECKED, T, "metropolis")
    if packing:  # the smallest lattice of that kind, warm enough to forget soon where it started
        check = lattice("square", 128, WARM, "metropolis", 1, packing)
    own = ours(
        text,
        check,
        exact=float(exact.kaufman(WARM, 128).energy) if packing else None,
        system=f"128 x 128 sites, T = {WARM:g}" if packing else "",
    )
    peers = {"L": L, "T": T, "check_size": CHECKED}
    return Contest(
        f"metropolis_2d_{L}", f"Metropolis, square lattice, L = {L}, Tc",
        (
            own,
            Contender("mcising", "contenders:mcising", peers),
            Contender("peapods", "contenders:peapods", peers),
            Contender("dwave-samplers", "contenders:dwave", peers),
            *([Contender("openjij", "contenders:openjij", peers)] if L < 1024 else []),
            *([Contender("pyalps", "contenders:pyalps", peers)] if L < 1024 else []),
            Contender("numba, 30 lines", "contenders:checkerboard", peers),
            Contender("NumPy", "contenders:numpy_checkerboard", peers),
        ),
        exact=float(exact.kaufman(T, CHECKED).energy), system=SMALL,
    )  # fmt: skip


def cubic_energy(T: float) -> float:
    """Energy a site of the cubic lattice, far above Tc: at T = 8 exact to 1e-6, of 8^3 sites to 1e-5.

    From ln Z = ln 2 + 3 ln cosh K + ln P(tanh K) a site, P to order 16 (Guttmann and Enting, J. Phys. A 26, 807, 1993).
    """
    loops = {0: 1, 4: 3, 6: 22, 8: 192, 10: 2046, 12: 24853, 14: 329334, 16: 4649601}
    v = math.tanh(1 / T)
    slope = sum(k * number * v ** (k - 1) for k, number in loops.items() if k > 0)
    return -(3 * v + (1 - v * v) * slope / sum(number * v**k for k, number in loops.items()))


def metropolis_3d(L: int) -> Contest:
    side = 8
    peers = {"L": L, "T": TC_3D, "dimension": 3, "check_size": side, "check_T": HOT}
    return Contest(
        f"metropolis_3d_{L}", f"Metropolis, cubic lattice, L = {L}, Tc",
        (
            ours(lattice("cubic", L, TC_3D, "metropolis"), lattice("cubic", side, HOT, "metropolis"), records=20000),
            Contender("mcising", "contenders:mcising", peers),
            Contender("peapods", "contenders:peapods", peers),
            Contender("dwave-samplers", "contenders:dwave", peers),
            Contender("openjij", "contenders:openjij", peers),
        ),
        exact=cubic_energy(HOT), system=f"{side} x {side} x {side} sites, T = {HOT:g}",
    )  # fmt: skip


def clusters(update: str, L: int) -> Contest:
    peer = {"L": L, "T": TC, "update": update.upper(), "check_size": CHECKED}
    own = {"start": "up", "settle": 60 if L < 1000 else 20, "thermalization": 200, "every": 1}
    return Contest(
        f"{update}_{L}", f"{'Wolff' if update == 'wolff' else 'Swendsen-Wang'}, square lattice, L = {L}, Tc",
        (
            ours(lattice("square", L, TC, update), lattice("square", CHECKED, TC, update), **own),
            Contender("mcising", "contenders:mcising", peer),
        ),
        unit="sites/ns", exact=float(exact.kaufman(TC, CHECKED).energy), system=SMALL,
    )  # fmt: skip


def tempering(L: int) -> Contest:
    rest = "replicas = 4\n[schedule]\nsweeps = 1\n[tempering]\nevery = 1\n"
    text = (
        f'[lattice]\nkind = "cubic"\nsize = [{L}]\n[couplings]\nkind = "pm_j"\n[grid]\ntemperatures = {LADDER}\n{rest}'
    )
    check = f"[lattice]\nsize = [{CHECKED}]\n[grid]\ntemperatures = {CHECK_LADDER}\n{rest}"
    peer = {"L": L, "temperatures": LADDER, "replicas": 4, "check_size": CHECKED, "check_ladder": CHECK_LADDER}
    return Contest(
        f"tempering_3d_{L}", f"Parallel tempering, cubic +-J, L = {L}, 16 temperatures, 4 replicas",
        (
            ours(text, check, check_at=TC),
            Contender("peapods", "contenders:peapods_tempering", peer),
        ),
        exact=float(exact.kaufman(TC, CHECKED).energy), system=f"ferromagnet, {SMALL}, of a ladder of four",
    )  # fmt: skip


def annealing() -> Contest:
    schedule = {"L": 100, "hot": 3.0, "cold": 0.1, "sweeps": 1000}
    return Contest(
        "annealing", "Annealing of the +-J square lattice, 100 x 100, 1000 sweeps a read",
        (
            Contender("ising-mc", "contenders:anneal", schedule),
            Contender("dwave-samplers", "contenders:dwave_anneal", schedule),
        ),
        checks="mean final e", options={},
    )  # fmt: skip


def enumerated(text: str) -> float:
    """Exact energy a site of the first unit of a run file."""
    unit = units_of(parse(f"[run]\nseed = {SEED}\n{text}"))[0]
    drawn = realize(unit.system, SEED)
    states = exact.enumerate_states(drawn.graph.n_sites, drawn.graph.bonds, drawn.J)
    return float(states.weights(unit.temperature) @ states.energy) / drawn.graph.n_sites


def dense() -> Contest:
    text, check = (
        f'[lattice]\nkind = "complete"\nsize = [{N}]\n[couplings]\nkind = "gaussian"\n'
        f'{WORKED.format(T=T, replicas=64)}[algorithm]\nkind = "heat_bath"\n'
        for N, T in ((N_DENSE, T_DENSE), (N_CHECKED, T_CHECKED))
    )
    return Contest(
        "dense", f"Fully connected, Gaussian J, N = {N_DENSE}, T = {T_DENSE:g}",
        (
            ours(text, check, settle=100),
            Contender("openjij", "contenders:openjij_dense", {"text": text, "check_text": check}),
        ),
        exact=enumerated(check), system=f"N = {N_CHECKED}, T = {T_CHECKED:g}",
    )  # fmt: skip


def rbm() -> Contest:
    sizes, small = {"visible": 784, "hidden": 500}, checked_machine()
    return Contest(
        "rbm", "Block Gibbs sampling of an RBM of 784 x 500 units",
        (
            Contender("ising-mc", "learners:rbm", sizes),
            Contender("scikit-learn", "learners:rbm_sklearn", sizes),
            Contender("torch", "learners:rbm_torch", sizes),
            Contender("NumPy", "learners:rbm_numpy", sizes),
        ),
        unit="units/ns", checks="mean activity", exact=exact_activity(small),
        system=f"{small.sizes[0]} x {small.sizes[1]} units of strong couplings",
    )  # fmt: skip


def training(hidden: int) -> Contest:
    size = {"hidden": hidden}
    return Contest(
        f"training_{hidden}", f"PCD-1 on 8 x 8 digits, {hidden} hidden units",
        (
            Contender("ising-mc", "learners:train", size),
            Contender("scikit-learn", "learners:train_sklearn", size),
            Contender("rbms", "learners:train_rbms", size),
        ),
        unit="epochs/ns", checks="log likelihood after 300 epochs",
    )  # fmt: skip


def recall(N: int, P: int) -> Contest:
    size = {"N": N, "P": P}
    return Contest(
        f"recall_{N}", f"Hopfield recall from 10 % noise, N = {N}, P = {P}, new cues",
        (
            Contender("ising-mc", "recallers:recall", size),
            Contender("hopfieldnetwork", "recallers:recall_hopfieldnetwork", size),
            Contender("NumPy", "recallers:recall_numpy", size),
        ),
        unit="units/ns", checks="overlap",
    )  # fmt: skip


QUICK: tuple[Contest, ...] = (
    metropolis_2d(32), metropolis_2d(128), metropolis_2d(1024), metropolis_3d(16),
    clusters("swendsen_wang", 128), clusters("wolff", 128), tempering(8), annealing(), dense(), rbm(), training(64),
    recall(1024, 102),
)  # fmt: skip
FULL: tuple[Contest, ...] = (
    *QUICK, metropolis_2d(64), metropolis_3d(64), clusters("swendsen_wang", 1024), clusters("wolff", 1024),
    tempering(12), training(256), recall(4096, 410),
)  # fmt: skip
