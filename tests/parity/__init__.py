"""Comparisons, number by number, with MMSA 2.2.1, whose PyTorch models most tables of the field come from.

Its weights, carried over by a table of names, must give our outputs and our gradients. `cases` has one module
for each model; the tests run where torch and MMSA are installed (`pip install ".[parity]"`).

    python -m tests.parity             prints the largest differences of each model
    python -m tests.parity --golden    writes anew the small files that the ordinary tests compare with
"""
