"""The run file that `ising-mc init` prints."""

ISING = """\
# A temperature sweep of the Ising model, H = - sum_<ij> J_ij s_i s_j - mu sum_i B_i s_i, with k_B = 1.
# Run it, or go on with it:  ising-mc run FILE

[run]
# name = "my_run"                  # result file: results/<name>.h5; left out: the name of this file
seed = 2026                        # left out: drawn, printed and recorded

[model]
kind = "ising"

[lattice]
kind = "square"                    # chain square triangular honeycomb cubic hypercubic random_regular complete file
size = [16, 32]                    # one system each; a rectangle is written as [[48, 32]]
boundary = "periodic"              # periodic | open, or one for each axis: ["periodic", "open"]
# degree = 3                       # random_regular: bonds of a site
# path = "graph.txt"               # file: lines i j or i j J, a matrix (.npy, .npz), or file.h5:dataset
# one_based = false                # file: whether sites count from 1

[couplings]
kind = "uniform"                   # uniform | pm_j | gaussian | file (complete graph: J/N; random ones over sqrt(N))
J = 1.0                            # negative: antiferromagnet; one a direction: [1.3, 0.7]; pm_j: +J or -J
# p = 0.5                          # pm_j: share of +J
# mean = 0.0                       # gaussian
# sigma = 1.0                      # gaussian: standard deviation
# path = "couplings.txt"           # file: lines i j J; left out: the third column of the file of the lattice
# disorder_samples = 1             # of random couplings, fields or graphs: each is a system of its own

[field]
# kind = "uniform"                 # uniform | gaussian | bimodal | file
B = 0.0                            # a number, or a file of one value a site
mu = 1.0
# strength = 1.0                   # gaussian: standard deviation of B; bimodal: +-strength

[grid]
temperatures = {start = 1.6, stop = 3.2, num = 17}   # or a list; may be extended later
replicas = 64                      # independent copies at each temperature; multiples of 64 cost least

[schedule]
thermalization = 1000              # sweeps thrown away
sweeps = 4000                      # sweeps recorded; may be raised later
measure_every = 1
checkpoint_seconds = 60

[measure]
observables = []                   # staggered_magnetization structure_factor bond_energies overlap link_overlap

# [tempering]                      # exchange between the temperatures of the grid, by local updates
# every = 1                        # sweeps between exchanges
# houdayer = false                 # isoenergetic cluster moves between two replicas after each exchange (2D glasses)
# ladder = "grid"                  # grid | auto: as many temperatures between the ends, placed for uniform swap rates

[algorithm]
kind = "auto"                      # auto | metropolis | heat_bath | swendsen_wang | wolff
# cycle = ["swendsen_wang", {metropolis = 5}]    # updates that take turns, in place of kind; also: houdayer
kernel = "auto"                    # auto | square | packed | sparse | dense | clusters | square_sites | packed_sites
packing = "auto"                   # auto | replicas (64 copies a word) | sites (one big lattice, first side 128 n)
start = "mixed"                    # up | random | mixed: half of the replicas each, and a verdict whether they agree
"""

ANNEAL = """\
# Simulated annealing: states of low energy of H = - sum_<ij> J_ij s_i s_j - mu sum_i B_i s_i.
# Run it, or go on with it:  ising-mc run FILE;  then ising-mc results OUT, and OUT without .h5 has .best.txt beside it.

[run]
# name = "my_run"                  # result file: results/<name>.h5; left out: the name of this file
seed = 2026                        # left out: drawn, printed and recorded

[lattice]                          # this table, [couplings] and [field] as in other runs: ising-mc init
kind = "square"
size = [32]

[couplings]
kind = "pm_j"                      # also: maxcut, of a graph from a file: J_ij = -w_ij, and the cut is told

[anneal]
schedule = "geometric"             # geometric | linear | list
from = 3.0                         # temperature of the first sweep
to = 0.1                           # of the last one
# temperatures = [3.0, 1.0, 0.3]   # list: from hot to cold; each has an equal share of the sweeps
sweeps = 1000                      # of each read
reads = 64                         # independent; multiples of 64 cost least
# target = -1400.0                 # energy to reach; left out: the lowest that is found

[schedule]
checkpoint_seconds = 60

[algorithm]
kind = "auto"                      # auto | metropolis | heat_bath
"""

HOPFIELD = """\
# Recall in a Hopfield network: H = -1/2 sum_ij J_ij s_i s_j - sum_i theta_i s_i, J learnt from patterns.
# Run it, or go on with it:  ising-mc run FILE;  ising-mc recall FILE does the same and shows every recall.

[run]
# name = "my_run"                  # result file: results/<name>.h5; left out: the name of this file
seed = 2026                        # left out: drawn, printed and recorded

[model]
kind = "hopfield"

[network]
units = [1024]                     # N, one or several
load = [0.05, 0.1]                 # alpha = P/N of random patterns; or patterns = 51, a number; or a file:
# patterns = "letters.npy"         # (P, N) of two values (.npy, .npz, .h5:dataset, .txt), or a folder of PNG pictures
# threshold = 0.5                  # pictures: brighter units are +1
rule = "hebb"                      # hebb | storkey | pseudo_inverse | clipped | covariance | file
# bias = 0.0                       # mean of random patterns; the covariance rule takes it from each value
# couplings = "J.npy"              # rule = "file": a matrix (N, N)
# asymmetric = false               # file: allow a matrix that is not symmetric, whose energy may rise
thresholds = 0.0                   # theta, a number, or a file of one value a unit
update = "random"                  # random | sequential | synchronous
samples = 4                        # independent sets of random patterns: a system each, averaged in results

[cue]
flip = 0.1                         # share of the units that is turned over; a list: one system each
# blank = 0.5                      # share that is set at random; likewise
# hidden = [32, 64]                # units 32 ... 63 are set at random, e.g. the lower half of 8 x 8 pictures
# clamp = "none"                   # none | kept (units as they were are held) | a list of units
# file = "cues.npy"                # your own cues: +1, -1, and 0 for a unit to be set at random

[grid]
temperatures = [0.0]               # above 0: heat bath
replicas = 64                      # recalls, of one pattern after the other

[schedule]
max_sweeps = 100                   # T = 0: when recalls end that come to no fixed point or cycle
# thermalization = 100             # with temperatures above 0, in place of max_sweeps
# sweeps = 400
measure_every = 1
checkpoint_seconds = 60
# assert_descent = false           # check at T = 0 that no energy rises

[measure]
retrieved = 0.9                    # overlap from which on a pattern counts as retrieved
# all_overlaps = true              # with all patterns, each sweep; left out: where these are at most 10^7 numbers

[algorithm]
kernel = "auto"                    # auto | fields (kept) | patterns (no matrix of couplings) | signs (clipped, one bit)
"""

BOLTZMANN = """\
# Sampling of a Boltzmann machine: E = -1/2 sum_ij J_ij u_i u_j - sum_i b_i u_i, Pr(u) = exp(-E/T)/Z.
# Run it, or go on with it:  ising-mc run FILE

[run]
# name = "my_run"                  # result file: results/<name>.h5; left out: the name of this file
seed = 2026                        # left out: drawn, printed and recorded

[model]
kind = "boltzmann"

[machine]
kind = "restricted"                # general | restricted | layered
units = "binary"                   # binary {0, 1}, Pr(1) = 1/(1 + exp(-lambda/T)) | spin {-1, +1}, with 2 lambda
visible = 64
hidden = 64                        # layered: one a layer, [64, 16]; general: 0 allowed
# weights = "trained.h5"           # a result file of training, .h5 or .npz; left out: random ones
scale = 0.1                        # standard deviation of random weights
# graph = "graph.txt"              # general: pairs of units that are coupled, lines i j or i j J; left out: all pairs
# one_based = false                # graph: whether units count from 1
# order = "sequential"             # general: sequential | random order of units in a sweep

# [clamp]                          # units that are held: conditional sampling
# units = [0, 1, 2]
# values = [1, 0, 1]
# file = "cues.npy"                # in place of both: rows of visible units, -1 (spins: 0) where free; a system a row

[grid]
temperatures = [0.5, 1.0, 2.0]     # or {start = 0.5, stop = 2.0, num = 4}; may be extended later
replicas = 64                      # independent chains; multiples of 64 cost least

[schedule]
thermalization = 1000              # sweeps thrown away; a sweep is one update a unit
sweeps = 4000                      # sweeps recorded; may be raised later
measure_every = 1
checkpoint_seconds = 60

# [tempering]                      # exchange between the temperatures of the grid
# every = 1                        # sweeps between exchanges

# [anneal]                         # in place of [grid] and [schedule]: states of low energy, as in ising-mc init anneal
# schedule = "geometric"           # geometric | linear | list
# from = 3.0
# to = 0.1
# sweeps = 1000
# reads = 64

[measure]
log_z = "auto"                     # auto | exact (sum over up to 22 units) | ais (annealed importance sampling) | none

[algorithm]
kernel = "auto"                    # auto | blocks (layers, colours at once) | dense (all pairs) | sparse
start = "mixed"                    # up (all units on) | random | mixed: half of the chains each
"""

TRAIN = """\
# Training of a Boltzmann machine on data: E = -1/2 sum_ij J_ij u_i u_j - sum_i b_i u_i at T = 1.
# Run it, or go on with it:  ising-mc train FILE;  then ising-mc plot OUT, and sample it: machine.weights = OUT

[run]
# name = "my_run"                  # result file: results/<name>.h5; left out: the name of this file
seed = 2026                        # left out: drawn, printed and recorded

[model]
kind = "boltzmann"

[machine]
kind = "restricted"                # general | restricted | layered
units = "binary"                   # binary {0, 1} | spin {-1, +1}
# visible = 64                     # left out: as many as the data have
hidden = 64                        # layered: one a layer, [64, 16]; general: 0 allowed
scale = 0.01                       # standard deviation of the first weights
# weights = "trained.h5"           # begin with these

[train]
data = "data.npy"                  # (examples, units) or (examples, height, width); .npy, .npz:array, .h5:dataset, .csv
# threshold = 0.5                  # larger values are on; left out: values from 0 to 1 are probabilities
held_out = 0.1                     # share of the examples that only the likelihood is told of
method = "pcd"                     # exact (small machines) | cd | pcd | pt (chains at several temperatures)
steps = 1                          # of Gibbs sampling for each update
epochs = 100                       # may be raised later
batch = 100                        # examples of an update
# chains = 100                     # pcd, pt: persistent ones; left out: as many as a batch
# temperings = 10                  # pt: inverse temperatures from 1 to 0
rate = 0.05
decay = 0.0                        # rate / (1 + decay * epoch)
momentum = 0.0
l1 = 0.0
l2 = 0.0
centred = false                    # gradient of centred units (restricted machines)
# clamped = "mean_field"           # hidden units of general and layered machines: mean_field | gibbs
start = "base_rate"                # visible biases: base_rate of the data | zero
evaluate_every = 10                # epochs between estimates of the likelihood

[schedule]
checkpoint_seconds = 60
"""
