"""`python -m ising_mc` is `ising-mc`."""

from ising_mc.cli import main

main(prog_name="ising-mc")
