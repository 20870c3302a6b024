"""Attacks on the program: hostile inputs with the answers that they must get, and what measures them.

`hostile.py` lists the inputs, which the files beside it write; `answers.py` gives them to the program, in
processes of their own, and measures what it does.
"""

MARKER = "EXECUTED"  # the file that an input makes in its folder where it is executed
