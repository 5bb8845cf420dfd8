"""Run files of Boltzmann machines: what they mean, and every sentence about what cannot be done."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_refused, cli, write

from ising_mc import boltzmannspec, boltzmannunits, trainspec, trainunits
from ising_mc.boltzmann import Clamp, realize
from ising_mc.boltzmannspec import MachineAnnealSpec, MachineSpec
from ising_mc.learning import Recipe
from ising_mc.machine import KINDS, random_machine
from ising_mc.machinefile import save_npz
from ising_mc.reader import SpecError
from ising_mc.run import try_out, units_of
from ising_mc.spec import load, parse
from ising_mc.trainspec import TrainSpec

MODEL = '[model]\nkind = "boltzmann"\n'
RESTRICTED = '[machine]\nkind = "restricted"\nvisible = 3\nhidden = 2\n'
GENERAL = '[machine]\nkind = "general"\nvisible = 4\n'
GRAPH = '[machine]\nkind = "general"\ngraph = "graph.txt"\n'
WEIGHTS = '[machine]\nkind = "restricted"\nweights = "machine.npz"\n'
TRAIN = '[machine]\nvisible = 6\nhidden = 3\n[train]\ndata = "data.npy"\n'
GENERAL_TRAIN = TRAIN.replace("[machine]\n", '[machine]\nkind = "general"\n')
ANNEAL = "[anneal]\nfrom = 2.0\nto = 0.5\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that run files name: good ones and bad ones."""
    own, rng = tmp_path_factory.mktemp("spec"), np.random.default_rng(1)
    np.save(own / "data.npy", (rng.random((40, 6)) < 0.4).astype(float))
    np.save(own / "five.npy", (rng.random((5, 6)) < 0.4).astype(float))
    np.save(own / "one.npy", np.ones((1, 6)))
    np.save(own / "gray.npy", rng.random((40, 6)))
    np.save(own / "far.npy", 255 * rng.random((40, 6)))
    np.save(own / "nan.npy", np.full((4, 6), np.nan))
    np.save(own / "cube.npy", np.zeros((2, 2, 2, 6)))
    np.save(own / "rows.npy", np.array([[0, 1, 1], [1, -1, 0], [-1, -1, -1]]))
    np.save(own / "odd_rows.npy", np.array([[0, 1, 1], [0, 0.5, 1]]))
    np.save(own / "nan_rows.npy", np.array([[0, np.nan, 1]]))
    np.save(own / "objects.npy", np.array([None, 1], object), allow_pickle=True)
    (own / "ragged.txt").write_text("0 1 1\n0 1\n")
    (own / "words.txt").write_text("on off on\n")
    (own / "empty.txt").write_text("")
    (own / "graph.txt").write_text("0 1 1.0\n1 2 -1\n2 3 0.5\n")
    (own / "bare.txt").write_text("0 1\n1 2\n2 3\n")
    (own / "loop.txt").write_text("0 1\n1 1\n")
    (own / "nan_graph.txt").write_text("0 1 nan\n")
    save_npz(random_machine("restricted", "binary", (3, 2), 1.0, rng), own / "machine.npz")
    save_npz(random_machine("general", "spin", (3, 2), 1.0, rng), own / "general.npz")
    W, b, c = rng.normal(size=(3, 2)), np.zeros(3), np.zeros(2)
    J = np.array([[0, 1.0, 2], [1, 0, 3], [2, 4, 0]])
    np.savez(own / "nan.npz", weights=W * np.nan, biases_visible=b, biases_hidden=c)
    np.savez(own / "turned.npz", weights=W.T, biases_visible=b, biases_hidden=c)
    np.savez(own / "short.npz", weights=W, biases_visible=b[:2], biases_hidden=c)
    np.savez(own / "bare.npz", weights=W)
    np.savez(own / "huge.npz", weights=W * 1e12, biases_visible=b, biases_hidden=c)
    np.savez(own / "oblique.npz", weights=J, biases=np.zeros(3), visible=2)
    np.savez(own / "loops.npz", weights=np.eye(3), biases=np.zeros(3), visible=2)
    np.savez(own / "unsaid.npz", weights=J + J.T - np.diag((J + J.T).diagonal()), biases=np.zeros(3))
    (own / "damaged.npz").write_bytes(b"PK\x03\x04 and no more")
    (own / "rows").mkdir()
    return own


def given(text: str, **keys: object) -> str:
    """A file with other values in its last table, as Python writes them."""
    return text + "".join(f"{key} = {value}\n" for key, value in keys.items())


REFUSED: dict[str, tuple[str, str]] = {
    # tables and keys
    "no machine": ("", "the table [machine] is missing: give kind, units, visible and hidden, or weights"),
    "unknown table": (RESTRICTED + "[lattice]\nsize = 4\n", "unknown table: 'lattice'"),
    "nearly a table": (TRAIN.replace("[train]", "[trian]"), "unknown table: 'trian'; did you mean 'train'?"),
    "unknown key": (
        RESTRICTED.replace("visible", "visble"),
        "unknown key in [machine]: 'visble'; did you mean 'visible'?",
    ),
    "unknown key of clamps": (RESTRICTED + "[clamp]\nunit = [1]\n", "unknown key in [clamp]: 'unit'"),
    "unknown key of training": (given(TRAIN, epoch=3), "unknown key in [train]: 'epoch'; did you mean 'epochs'?"),
    "no table": ("grid = 3\n" + MODEL, "grid must be a table, written as [grid]"),
    # the machine
    "unknown kind": (
        '[machine]\nkind = "rbm"\n',
        "machine.kind = 'rbm' is not available; allowed: general, restricted",
    ),
    "kind of no sort": ("[machine]\nkind = []\n", "machine.kind = [] is not available"),
    "unknown units": (given(RESTRICTED, units='"ising"'), "machine.units = 'ising' is not available; allowed: binary"),
    "no visible units": ("[machine]\nkind = 'general'\n", "machine.visible is missing: give the number of visible"),
    "hidden alone": ("[machine]\nhidden = 3\n", "machine.hidden goes with machine.visible, which is missing"),
    "no hidden units": ("[machine]\nvisible = 3\n", "machine.hidden is missing: give the number of hidden units"),
    "hidden 0": (given("[machine]\nvisible = 3\n", hidden=0), "machine.hidden must be a whole number from 1 to"),
    "no layers": (
        "[machine]\nkind = 'layered'\nvisible = 3\n",
        "machine.hidden is missing: give the number of units of",
    ),
    "empty layers": (
        "[machine]\nkind = 'layered'\nvisible = 3\nhidden = []\n",
        "machine.hidden is empty: give the number of units of each hidden layer",
    ),
    "a layer of 0": ("[machine]\nkind = 'layered'\nvisible = 3\nhidden = [2, 0]\n", "must be a whole number from 1 to"),
    "layers of layers": (
        "[machine]\nkind = 'layered'\nvisible = 3\nhidden = [[2]]\n",
        "must be a whole number from 1 to",
    ),
    "layers of a restricted machine": (
        "[machine]\nvisible = 3\nhidden = [3, 2]\n",
        "must be one number for machine.kind = 'restricted'; a list is for",
    ),
    "layers of a general machine": (given(GENERAL, hidden=[1, 2]), "must be one number for machine.kind = 'general'"),
    "half a unit": ("[machine]\nvisible = 3.5\nhidden = 2\n", "machine.visible must be a whole number from 1 to"),
    "true units": (
        "[machine]\nvisible = true\nhidden = 2\n",
        "machine.visible must be a whole number from 1 to 16777216",
    ),
    "negative hidden": (given(GENERAL, hidden=-1), "machine.hidden must be a whole number from 0 to 16777216, not -1"),
    "far too many units": (
        "[machine]\nvisible = 16777216\nhidden = 16777216\n",
        "of memory with the blocks kernel, more than half",
    ),
    "too many pairs": ("[machine]\nkind = 'general'\nvisible = 16385\n", "has at most 16384 units, not 16385"),
    "negative scale": (
        given(RESTRICTED, scale=-1.0),
        "machine.scale, the standard deviation of random weights, must not",
    ),
    "scale of a word": (given(RESTRICTED, scale='"big"'), "machine.scale must be a number within +-1e+09, not 'big'"),
    "scale of no number": (given(RESTRICTED, scale="nan"), "machine.scale must be a number within +-1e+09, not nan"),
    "too large for fixed point": (given(RESTRICTED, scale=1e9), "couplings and fields are kept as multiples of"),
    "order of a restricted machine": (
        given(RESTRICTED, order='"random"'),
        "machine.order has no meaning with machine.kind = 'restricted'; it goes with general",
    ),
    "unknown order": (given(GENERAL, order='"shuffled"'), "machine.order = 'shuffled' is not available; allowed: sequ"),
    "random order of another kernel": (
        given(GENERAL, order='"random"') + '[algorithm]\nkernel = "sparse"\n',
        "machine.order = 'random' needs a general machine and the dense kernel, not algorithm.kernel = 'sparse'",
    ),
    # graphs
    "graph of a restricted machine": (
        given(RESTRICTED, graph='"graph.txt"'),
        "machine.graph has no meaning with machine",
    ),
    "no such graph": (given(GENERAL, graph='"no.txt"'), "machine.graph: cannot read"),
    "graph of a number": (given(GENERAL, graph=3), "machine.graph must be the name of a file, not 3"),
    "graph with a loop": (GRAPH.replace("graph.txt", "loop.txt"), "machine.graph: "),
    "graph of NaN": (GRAPH.replace("graph.txt", "nan_graph.txt"), "machine.graph: "),
    "scale of given couplings": (given(GRAPH, scale=0.5), "no meaning beside a machine.graph whose third column"),
    "graph of fewer units": (
        given(GRAPH, visible=5),
        "machine.graph has 4 units, but machine.visible and machine.hidden",
    ),
    "graph of fewer hidden ones": (given(GRAPH, hidden=4), "machine.hidden = 4, but machine.graph has 4 units in all"),
    "counted from one": (given(GENERAL, one_based="true"), "machine.one_based goes with machine.graph = 'FILE'"),
    "counted from a word": (given(GRAPH, one_based='"yes"'), "machine.one_based must be true or false, not 'yes'"),
    # weights
    "no such weights": (WEIGHTS.replace("machine.npz", "no.npz"), "machine.weights: cannot read"),
    "weights of a number": ("[machine]\nweights = 3\n", "machine.weights must be the name of a file, not 3"),
    "weights and a graph": (
        given('[machine]\nkind = "general"\nweights = "general.npz"\n', graph='"graph.txt"'),
        "machine.graph has no meaning beside machine.weights, which holds the machine itself",
    ),
    "weights and scale": (given(WEIGHTS, scale=0.1), "machine.scale has no meaning beside machine.weights"),
    "weights counted from one": (
        given('[machine]\nkind = "general"\nunits = "spin"\nweights = "general.npz"\n', one_based="true"),
        "machine.one_based has no meaning beside machine.weights",
    ),
    "weights of another kind": (
        WEIGHTS.replace('"restricted"', '"layered"'),
        "says kind = 'restricted', but 'layered'",
    ),
    "weights of other units": (given(WEIGHTS, units='"spin"'), "says units = 'binary', but 'spin' is asked for"),
    "weights of other sizes": (given(WEIGHTS, visible=2, hidden=3), "array weights: it must be of shape (2, 3)"),
    "weights and visible alone": (given(WEIGHTS, visible=3), "machine.hidden is missing: give the number of hidden"),
    "weights of NaN": (
        WEIGHTS.replace("machine.n", "nan.n"),
        "the weight must be a finite number within +-1e+09, not nan",
    ),
    "weights beyond": (WEIGHTS.replace("machine.n", "huge.n"), "the weight must be a finite number within +-1e+09"),
    "weights turned": (given(WEIGHTS.replace("machine.n", "turned.n"), visible=3, hidden=2), "; transpose it"),
    "weights without biases": (
        WEIGHTS.replace("machine.n", "bare.n"),
        "has no array 'biases_visible'; it holds weights",
    ),
    "weights with few biases": (
        WEIGHTS.replace("machine.n", "short.n"),
        "array biases_visible: it must be of shape (3,)",
    ),
    "weights not symmetric": (
        '[machine]\nkind = "general"\nweights = "oblique.npz"\n',
        "array weights is not symmetric: entry (1, 2) is 3, entry (2, 1) is 4",
    ),
    "weights of units with themselves": (
        '[machine]\nkind = "general"\nweights = "loops.npz"\n',
        "its coupling to itself must be 0, not 1",
    ),
    "weights of who knows whom": (
        '[machine]\nkind = "general"\nweights = "unsaid.npz"\n',
        "does not tell how many units are visible",
    ),
    "damaged weights": (WEIGHTS.replace("machine.n", "damaged.n"), "cannot be read as an .npz file"),
    "weights that are text": (WEIGHTS.replace("machine.npz", "graph.txt"), "must be an .npz file or an HDF5 file"),
    # clamps
    "clamps of nothing": (RESTRICTED + "[clamp]\n", "[clamp] needs the lists units and values, or a file of visible"),
    "clamps without values": (RESTRICTED + "[clamp]\nunits = [0]\n", "[clamp] needs the lists units and values"),
    "clamps of a number": (RESTRICTED + "[clamp]\nunits = 0\nvalues = 1\n", "[clamp] needs the lists units and values"),
    "clamp out of range": (
        RESTRICTED + "[clamp]\nunits = [5]\nvalues = [1]\n",
        "names unit 5, but there are units 0 to 4",
    ),
    "clamp below 0": (RESTRICTED + "[clamp]\nunits = [-1]\nvalues = [1]\n", "clamp.units names unit -1, but there are"),
    "clamp of half a unit": (RESTRICTED + "[clamp]\nunits = [0.5]\nvalues = [1]\n", "clamp.units names unit 0.5, but"),
    "clamp twice": (RESTRICTED + "[clamp]\nunits = [1, 1]\nvalues = [0, 1]\n", "clamp.units names a unit twice"),
    "clamps of two lengths": (
        RESTRICTED + "[clamp]\nunits = [0, 1]\nvalues = [1]\n",
        "clamp.units names 2 units, but clamp.values has 1 values",
    ),
    "clamp to -1": (
        RESTRICTED + "[clamp]\nunits = [0]\nvalues = [-1]\n",
        "clamp.values must be 0 or 1 for machine.units = 'binary', not -1",
    ),
    "clamp to 0": (
        given(RESTRICTED, units='"spin"') + "[clamp]\nunits = [0]\nvalues = [0]\n",
        "clamp.values must be -1 or 1 for machine.units = 'spin', not 0",
    ),
    "clamp to a list": (RESTRICTED + "[clamp]\nunits = [0]\nvalues = [[1]]\n", "clamp.values must be 0 or 1"),
    "clamp to true": (RESTRICTED + "[clamp]\nunits = [0]\nvalues = [true]\n", "clamp.values must be 0 or 1"),
    "all clamped": (
        RESTRICTED + "[clamp]\nunits = [0, 1, 2, 3, 4]\nvalues = [0, 0, 0, 0, 0]\n",
        "clamp.units holds all units: nothing is left to be drawn",
    ),
    "all clamped by a file": (
        '[machine]\nkind = "general"\nvisible = 3\n[clamp]\nfile = "rows.npy"\n',
        "has a row that holds all units",
    ),
    "clamps beside a file": (
        RESTRICTED + '[clamp]\nfile = "rows.npy"\nunits = [1]\n',
        "clamp.units has no meaning beside clamp.file, which holds units and values",
    ),
    "no such clamps": (RESTRICTED + '[clamp]\nfile = "no.npy"\n', "clamp.file: cannot read"),
    "clamps of a folder": (RESTRICTED + '[clamp]\nfile = "rows"\n', "clamp.file: cannot read"),
    "clamps of no file": (RESTRICTED + "[clamp]\nfile = 3\n", "clamp.file must be the name of a file, not 3"),
    "clamps of other sizes": (
        RESTRICTED.replace("3", "4") + '[clamp]\nfile = "rows.npy"\n',
        "must hold rows of 4 visible",
    ),
    "clamps in between": (
        RESTRICTED + '[clamp]\nfile = "odd_rows.npy"\n',
        "row 1, unit 1 (counted from 0) is 0.5, but must be 0 or 1, or -1 for a unit that is free",
    ),
    "clamps to NaN": (
        RESTRICTED + '[clamp]\nfile = "nan_rows.npy"\n',
        "row 0, unit 1 (counted from 0) is nan, but must",
    ),
    "clamps of lines": (RESTRICTED + '[clamp]\nfile = "ragged.txt"\n', "must hold rows of numbers, all of one length"),
    "clamps of words": (RESTRICTED + '[clamp]\nfile = "words.txt"\n', "must hold rows of numbers, all of one length"),
    "clamps of objects": (RESTRICTED + '[clamp]\nfile = "objects.npy"\n', "clamp.file: "),
    "clamps of nothing at all": (RESTRICTED + '[clamp]\nfile = "empty.txt"\n', "clamp.file: "),
    # the grid, the schedule, tempering
    "zero temperature": (RESTRICTED + "[grid]\ntemperatures = [0.0]\n", "a temperature must be a positive number from"),
    "a temperature twice": (RESTRICTED + "[grid]\ntemperatures = [1.0, 1.0]\n", "grid.temperatures names 1.0 twice"),
    "no chains": (RESTRICTED + "[grid]\nreplicas = 0\n", "grid.replicas must be a whole number of at least 1"),
    "odd record": (
        RESTRICTED + "[schedule]\nsweeps = 10\nmeasure_every = 3\n",
        "must be a multiple of schedule.measure_",
    ),
    "unknown start": (RESTRICTED + '[algorithm]\nstart = "down"\n', "algorithm.start = 'down' is not available"),
    "unknown kernel": (RESTRICTED + '[algorithm]\nkernel = "packed"\n', "allowed: auto, blocks, dense, sparse"),
    "unknown log Z": (
        RESTRICTED + '[measure]\nlog_z = "yes"\n',
        "measure.log_z = 'yes' is not available; allowed: auto",
    ),
    "log Z of too many": (
        '[machine]\nkind = "general"\nvisible = 23\n[measure]\nlog_z = "exact"\n',
        "measure.log_z = 'exact' sums over the states of 23 units of V23, but at most 22 can be: take 'ais'",
    ),
    "log Z of too many layers": (
        '[machine]\nkind = "layered"\nvisible = 12\nhidden = [23, 12]\n[measure]\nlog_z = "exact"\n',
        "sums over the states of 23 units of V12H23H12",
    ),
    "a ladder of one": (RESTRICTED + "[tempering]\n", "[tempering] exchanges 2 to 64 temperatures, not 1"),
    "a ladder of 65": (
        RESTRICTED + "[grid]\ntemperatures = {start = 1.0, stop = 2.0, num = 65}\n[tempering]\n",
        "[tempering] exchanges 2 to 64 temperatures, not 65",
    ),
    "a ladder between records": (
        RESTRICTED + "[grid]\ntemperatures = [1.0, 2.0]\n[tempering]\nevery = 2\n",
        "schedule.measure_every = 1 must be a multiple of tempering.every = 2",
    ),
    # annealing
    "from nowhere": (RESTRICTED + "[anneal]\nto = 1.0\n", "anneal.from is missing"),
    "heating": (RESTRICTED + "[anneal]\nfrom = 1.0\nto = 2.0\n", "anneal.from = 1 is colder than anneal.to = 2"),
    "a list that heats": (
        RESTRICTED + '[anneal]\nschedule = "list"\ntemperatures = [1.0, 2.0]\n',
        "anneal.temperatures heats on its way",
    ),
    "target of a word": (RESTRICTED + given(ANNEAL, target='"low"'), "anneal.target must be a number within"),
    "annealing and a grid": (
        RESTRICTED + ANNEAL + "[grid]\nreplicas = 3\n",
        "grid.replicas has no meaning in an annealing run: [anneal] says what is done, with reads and sweeps",
    ),
    "annealing and tempering": (
        RESTRICTED + ANNEAL + "[tempering]\n",
        "[tempering] has no meaning in an annealing run",
    ),
    "annealing and log Z": (RESTRICTED + ANNEAL + '[measure]\nlog_z = "none"\n', "measure.log_z has no meaning in an"),
    "annealing and sweeps": (RESTRICTED + ANNEAL + "[schedule]\nsweeps = 3\n", "schedule.sweeps has no meaning in an"),
    "annealing and a start": (
        RESTRICTED + ANNEAL + '[algorithm]\nstart = "up"\n',
        "algorithm.start has no meaning in an",
    ),
    # training
    "training and a grid": (
        TRAIN + "[grid]\nreplicas = 3\n",
        "[grid] has no meaning beside [train]: sample the trained",
    ),
    "training and an empty grid": (TRAIN + "[grid]\n", "[grid] has no meaning beside [train]"),
    "training and sweeps": (TRAIN + "[schedule]\nsweeps = 3\n", "[schedule] has no meaning beside [train]"),
    "training and clamps": (TRAIN + "[clamp]\nunits = [0]\nvalues = [1]\n", "[clamp] has no meaning beside [train]"),
    "training and annealing": (TRAIN + ANNEAL, "[anneal] has no meaning beside [train]"),
    "training and a kernel": (TRAIN + '[algorithm]\nkernel = "auto"\n', "[algorithm] has no meaning beside [train]"),
    "training in random order": (
        GENERAL_TRAIN.replace("visible", 'order = "random"\nvisible'),
        "machine.order has no meaning beside [train]",
    ),
    "no data": ("[machine]\nvisible = 6\nhidden = 3\n[train]\n", "train.data is missing: give the name of a file"),
    "no data and no sizes": ("[machine]\nhidden = 3\n[train]\n", "train.data is missing: give the name of a file"),
    "data of a number": (TRAIN.replace('"data.npy"', "3"), "train.data must be the name of a file, not 3"),
    "no such data": (TRAIN.replace("data.npy", "no.npy"), "train.data: cannot read"),
    "data of other units": (TRAIN.replace("visible = 6", "visible = 5"), "has 6 units, but the machine has 5 visible"),
    "data of other units than weights": (
        WEIGHTS + '[train]\ndata = "data.npy"\n',
        "has 6 units, but the machine has 3",
    ),
    "data beyond 1": (TRAIN.replace("data.npy", "far.npy"), "scale them to [0, 1], or give train.threshold"),
    "data of NaN": (TRAIN.replace("data.npy", "nan.npy"), "the value must be a finite number, not nan"),
    "data of too many dimensions": (TRAIN.replace("data.npy", "cube.npy"), "must be of shape (examples, units) or"),
    "threshold above all": (given(TRAIN, threshold=5), "no value is above the threshold 5"),
    "threshold of a word": (
        given(TRAIN, threshold='"half"'),
        "train.threshold must be a number within +-1e+09, not 'half'",
    ),
    "threshold of a word, sizes from the data": (
        given(TRAIN.replace("visible = 6\n", ""), threshold='"half"'),
        "train.threshold must be a number within +-1e+09",
    ),
    "threshold of no number": (
        given(TRAIN.replace("visible = 6\n", ""), threshold="nan"),
        "train.threshold must be a number within +-1e+09, not",
    ),
    "all held out": (
        given(TRAIN, held_out=1.0),
        "train.held_out, a share of the examples, must be at least 0 and below 1",
    ),
    "less than none held out": (given(TRAIN, held_out=-0.1), "must be at least 0 and below 1, not -0.1"),
    "nearly all held out": (
        given(TRAIN.replace("data.npy", "five.npy"), held_out=0.95),
        "train.held_out: with a share of 0.95 held out, none of 5 examples would be left to train on",
    ),
    "the only one held out": (
        given(TRAIN.replace("data.npy", "one.npy"), held_out=0.5),
        "train.held_out: with a share of 0.5 held out, none of 1 examples",
    ),
    "unknown method": (
        given(TRAIN, method='"backprop"'),
        "train.method = 'backprop' is not available; allowed: exact, cd",
    ),
    "steps of the exact gradient": (
        given(TRAIN, method='"exact"', steps=2),
        "train.steps has no meaning with train.method = 'exact'; it goes with cd, pcd, pt",
    ),
    "chains of cd": (given(TRAIN, method='"cd"', chains=9), "train.chains has no meaning with train.method = 'cd'"),
    "temperings of pcd": (given(TRAIN, temperings=5), "train.temperings has no meaning with train.method = 'pcd'; it"),
    "one tempering": (
        given(TRAIN, method='"pt"', temperings=1),
        "train.temperings must be a whole number of at least 2",
    ),
    "tempering of a general machine": (given(GENERAL_TRAIN, method='"pt"'), "train.method = 'pt' is for restricted"),
    "clamped phase of a restricted machine": (
        given(TRAIN, clamped='"gibbs"'),
        "train.clamped has no meaning with machine.kind = 'restricted', whose hidden",
    ),
    "clamped phase of the exact gradient": (
        given(GENERAL_TRAIN, method='"exact"', clamped='"gibbs"'),
        "train.clamped has no meaning with train.method = 'exact'; it goes with cd, pcd",
    ),
    "unknown clamped phase": (given(GENERAL_TRAIN, clamped='"bethe"'), "allowed: mean_field, gibbs"),
    "centred general machine": (
        given(GENERAL_TRAIN, centred="true"),
        "train.centred = true is for restricted machines",
    ),
    "centred exact gradient": (given(TRAIN, method='"exact"', centred="true"), "and not for the exact gradient"),
    "centred by a number": (given(TRAIN, centred=1), "train.centred must be true or false, not 1"),
    "exact sums of too many": (
        "[machine]\nkind = 'general'\nvisible = 6\nhidden = 20\n[train]\ndata = 'data.npy'\nmethod = 'exact'\n",
        "train.method = 'exact' sums over all states, and 26 units are too many: at most 22",
    ),
    "no chains of pcd": (given(TRAIN, chains=0), "train.chains must be a whole number of at least 1, not 0"),
    "no batch": (given(TRAIN, batch=0), "train.batch must be a whole number of at least 1, not 0"),
    "half a batch": (given(TRAIN, batch=1.5), "train.batch must be a whole number of at least 1, not 1.5"),
    "no epochs": (given(TRAIN, epochs=0), "train.epochs must be a whole number of at least 1, not 0"),
    "too many epochs": (given(TRAIN, epochs=10**8), "train.epochs must be a whole number of at most 10000000"),
    "no evaluation": (
        given(TRAIN, evaluate_every=0),
        "train.evaluate_every must be a whole number of at least 1, not 0",
    ),
    "no rate": (given(TRAIN, rate=0), "train.rate must be a positive number up to 1e+09, not 0"),
    "infinite rate": (given(TRAIN, rate="inf"), "train.rate must be a positive number up to 1e+09, not inf"),
    "all momentum": (given(TRAIN, momentum=1.0), "train.momentum must be at least 0 and below 1, not 1"),
    "negative momentum": (given(TRAIN, momentum=-0.1), "train.momentum must be at least 0 and below 1, not -0.1"),
    "negative decay": (given(TRAIN, decay=-0.1), "train.decay must be at least 0, not -0.1"),
    "negative L1": (given(TRAIN, l1=-0.1), "train.l1 must be at least 0, not -0.1"),
    "negative L2": (given(TRAIN, l2=-0.1), "train.l2 must be at least 0, not -0.1"),
    "unknown start of biases": (
        given(TRAIN, start='"random"'),
        "train.start = 'random' is not available; allowed: base",
    ),
    "start of given biases": (
        WEIGHTS + '[train]\ndata = "rows.npy"\nthreshold = 0.5\nstart = "zero"\n',
        "train.start has no meaning beside machine.weights, which holds the biases to start from",
    ),
    "no checkpoints": (
        TRAIN + "[schedule]\ncheckpoint_seconds = 0\n",
        "schedule.checkpoint_seconds must be a positive",
    ),
}


def refusal(text: str, folder: Path) -> str:
    """What is said of a file, before anything is sampled."""
    try:
        spec = parse(text, folder=folder)
        try_out(units_of(spec), spec, 1)
    except SpecError as error:
        return str(error)
    return "nothing"


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused(case: str, folder: Path) -> None:
    text, sentence = REFUSED[case]
    told = refusal(text if "[model]" in text else MODEL + text, folder)
    assert sentence in told
    assert "\n" not in told


def raised(module: Any) -> Iterator[str]:
    """The longest fixed piece of each sentence that a source file raises as a SpecError."""
    import ast

    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("SpecError", "DataFileError")):
            continue
        pieces = [own.value for own in ast.walk(node.args[0]) if isinstance(own, ast.Constant)]
        fixed = [own for own in pieces if isinstance(own, str) and own.strip()]
        if fixed and not isinstance(node.args[0], ast.Call):
            yield max(fixed, key=len)


def test_every_sentence_is_tested(folder: Path) -> None:
    """Each that the sources hold is told in one of the cases above; but for a file that can be no text and no array."""
    told = [refusal(text if "[model]" in text else MODEL + text, folder) for text, _ in REFUSED.values()]
    untold = {" must hold an array, not a sparse matrix", " GB of memory, more than half of what is available ("}
    for module in (boltzmannspec, trainspec, boltzmannunits, trainunits):
        for piece in raised(module):
            assert piece in untold or any(piece in own for own in told), piece


def test_learning_that_does_not_fit_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainunits, "available_memory", lambda: 10**6)
    for text in (TRAIN.replace("hidden = 3", "hidden = 3000"), GENERAL_TRAIN.replace("hidden = 3", "hidden = 150")):
        assert "GB of memory, more than half of what is available (0.001 GB): give it fewer units" in refusal(
            MODEL + text, folder
        )
    assert refusal(MODEL + TRAIN, folder) == "nothing"


@pytest.mark.parametrize("case", ["weights of NaN", "all clamped", "too many pairs", "no such data", "all held out"])
def test_the_command_line_tells_it_in_one_line(case: str, folder: Path, tmp_path: Path) -> None:
    text, sentence = REFUSED[case]
    path = write(folder, MODEL + text)
    command = "train" if "[train]" in text else "run"
    refused = cli(command, path, "-o", tmp_path / "out.h5")
    assert_refused(refused, str(path), sentence)
    assert not (tmp_path / "out.h5.parts").exists()


def test_training_needs_data_and_a_machine(folder: Path, tmp_path: Path) -> None:
    path = write(folder, MODEL + RESTRICTED)
    assert_refused(
        cli("train", path, "-o", tmp_path / "out.h5"), "train needs model.kind = 'boltzmann' and a table [train]"
    )


# --- what is meant ------------------------------------------------------------------------------------------------


def test_defaults_of_sampling() -> None:
    spec = parse(MODEL + RESTRICTED, "own")
    assert isinstance(spec, MachineSpec)
    (system,) = spec.systems
    assert (spec.name, spec.seed, spec.temperatures, spec.replicas) == ("own", None, (1.0,), 64)
    assert (spec.thermalization, spec.sweeps, spec.measure_every, spec.start) == (1000, 10000, 1, "mixed")
    assert (spec.kernel, spec.exchange_every, spec.log_z, spec.warnings) == ("auto", 0, "auto", ())
    assert (system.kind, system.units, system.sizes, system.scale, system.label) == (
        "restricted", "binary", (3, 2), 0.01, "V3H2",
    )  # fmt: skip
    assert (system.given, system.bonds, system.order, system.clamp) == (None, None, "sequential", None)


def test_defaults_of_training_are_those_of_the_recipe(folder: Path) -> None:
    spec = parse(MODEL + TRAIN, folder=folder)
    assert isinstance(spec, TrainSpec)
    assert spec.recipe == Recipe(batch=40)
    assert (spec.sweeps, spec.held_out, spec.kind, spec.temperatures) == (100, 0.0, "train", ())
    assert parse(MODEL + given(TRAIN, batch=7), folder=folder).recipe.batch == 7
    whole = parse(MODEL + given(TRAIN, method='"exact"'), folder=folder).recipe
    assert (whole.batch, whole.method) == (40, "exact")
    assert parse(MODEL + TRAIN.replace("visible = 6\n", ""), folder=folder).systems[0].sizes == (6, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes(kind: str) -> None:
    hidden = {"general": "0", "restricted": "2", "layered": "[3, 2, 1]"}[kind]
    (system,) = parse(f'{MODEL}[machine]\nkind = "{kind}"\nvisible = 4\nhidden = {hidden}\n').systems
    assert system.sizes == {"general": (4, 0), "restricted": (4, 2), "layered": (4, 3, 2, 1)}[kind]
    assert system.label == {"general": "V4", "restricted": "V4H2", "layered": "V4H3H2H1"}[kind]
    assert system.n_bonds == {"general": 6, "restricted": 8, "layered": 12 + 6 + 2}[kind]
    (deep,) = parse(MODEL + '[machine]\nkind = "layered"\nvisible = 4\nhidden = 3\n').systems
    assert deep.sizes == (4, 3)


def test_graphs_with_and_without_couplings(folder: Path) -> None:
    (given_one,) = parse(MODEL + given(GRAPH, hidden=1), folder=folder).systems
    J = realize(given_one, 1).whole.weights[0]
    np.testing.assert_array_equal(np.triu(J), [[0, 1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 0.5], [0, 0, 0, 0]])
    assert given_one.sizes == (3, 1)
    (random_one,) = parse(MODEL + GRAPH.replace("graph.txt", "bare.txt"), folder=folder).systems
    drawn = realize(random_one, 1).whole.weights[0]
    assert np.array_equal(drawn != 0, J != 0)
    assert np.array_equal(drawn, drawn.T)
    assert given_one.n_bonds == random_one.n_bonds == 3


def test_rows_of_a_clamp_file(folder: Path) -> None:
    spec = parse(MODEL + RESTRICTED + '[clamp]\nfile = "rows.npy"\n', folder=folder)
    assert [system.clamp for system in spec.systems] == [
        Clamp((0, 1, 2), (0, 1, 1), 0), Clamp((0, 2), (1, 0), 1), Clamp((), (), 2),
    ]  # fmt: skip
    assert [system.label for system in spec.systems] == ["V3H2_c000", "V3H2_c001", "V3H2_c002"]
    assert [system.n_sites for system in spec.systems] == [2, 3, 5]
    assert [system.free_sizes for system in spec.systems] == [(0, 2), (1, 2), (3, 2)]
    (alone,) = parse(MODEL + RESTRICTED + "[clamp]\nunits = [4, 0]\nvalues = [1, 0]\n").systems
    assert (alone.label, alone.clamp, alone.free_sizes) == ("V3H2", Clamp((4, 0), (1, 0)), (2, 1))


def test_log_z_is_summed_over_what_is_free() -> None:
    held = f"[clamp]\nunits = {list(range(8))}\nvalues = {[0] * 8}\n"
    spec = parse(MODEL + '[machine]\nkind = "general"\nvisible = 30\n[measure]\nlog_z = "exact"\n' + held)
    assert spec.systems[0].n_sites == 22


def test_probabilities_are_warned_of(folder: Path) -> None:
    spec = parse(MODEL + TRAIN.replace("data.npy", "gray.npy"), folder=folder)
    assert spec.warnings == (
        "the data are not all states of units: they are taken as probabilities, and drawn each epoch",
    )
    assert parse(MODEL + TRAIN, folder=folder).warnings == ()


def test_annealing_of_a_machine() -> None:
    spec = parse(MODEL + RESTRICTED + given(ANNEAL, reads=70, sweeps=30, target=-1.5))
    assert isinstance(spec, MachineAnnealSpec)
    assert (spec.replicas, spec.thermalization, spec.sweeps, spec.target) == (70, 30, 0, -1.5)
    assert spec.amount == "70 reads of 30 sweeps, from T = 2 to 0.5"


def test_identities_tell_machines_apart(folder: Path) -> None:
    """What decides samples is in the identity, and what may grow is not."""

    def identity(text: str) -> dict[str, Any]:
        return parse(MODEL + text, folder=folder).identity()

    base = identity(RESTRICTED)
    for other in (
        given(RESTRICTED, scale=0.5), given(RESTRICTED, units='"spin"'), RESTRICTED.replace("hidden = 2", "hidden = 3"),
        RESTRICTED + "[clamp]\nunits = [0]\nvalues = [1]\n", RESTRICTED + "[grid]\nreplicas = 3\n", WEIGHTS,
        RESTRICTED + '[algorithm]\nkernel = "dense"\n', RESTRICTED + "[schedule]\nthermalization = 1\n",
        RESTRICTED + "[grid]\ntemperatures = [1.0, 2.0]\n[tempering]\n",
    ):  # fmt: skip
        assert identity(other) != base
    assert identity(RESTRICTED + "[schedule]\nsweeps = 77\n") == base
    assert identity(RESTRICTED + "[grid]\ntemperatures = [3.0]\n") == base
    assert identity(GRAPH) != identity(GRAPH.replace("graph.txt", "bare.txt"))
    assert identity(given(TRAIN, epochs=5)) == identity(TRAIN)
    for change in ({"rate": 0.1}, {"held_out": 0.5}, {"method": '"cd"'}, {"momentum": 0.5}, {"threshold": 0.5}):
        assert (identity(given(TRAIN, **change)) != identity(TRAIN)) == (change != {"threshold": 0.5})
    assert identity(TRAIN.replace("data.npy", "gray.npy")) != identity(TRAIN)


def test_files_lie_beside_the_run_file(folder: Path) -> None:
    path = write(folder, MODEL + WEIGHTS, "other.toml")
    assert load(path).systems[0].sizes == (3, 2)
