"""The run file that `ising-mc init` prints."""

ISING = """\
# A temperature sweep of the Ising model, H = -J sum_<ij> s_i s_j - mu B sum_i s_i, with k_B = 1.
# Run it, or go on with it:  ising-mc run FILE

[run]
# name = "my_run"                  # result file: results/<name>.h5; left out: the name of this file
seed = 2026                        # left out: drawn, printed and recorded

[model]
kind = "ising"

[lattice]
kind = "square"
size = [16, 32]                    # one system each; a rectangle is written as [[48, 32]]
boundary = "periodic"

[couplings]
kind = "uniform"
J = 1.0                            # negative: antiferromagnet

[field]
B = 0.0
mu = 1.0

[grid]
temperatures = {start = 1.6, stop = 3.2, num = 17}   # or a list; may be extended later
replicas = 64                      # independent copies at each temperature; multiples of 64 cost least

[schedule]
thermalization = 1000              # sweeps thrown away
sweeps = 4000                      # sweeps recorded; may be raised later
measure_every = 1
checkpoint_seconds = 60

[algorithm]
kind = "auto"                      # auto | metropolis | heat_bath
packing = "auto"                   # auto | replicas (64 copies a word) | sites (one big lattice, sides of 128 n)
start = "mixed"                    # up | random | mixed: half of the replicas each, and a verdict whether they agree
"""
