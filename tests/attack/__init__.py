"""Attacks on the program: hostile inputs with the answers that they must get, and what measures them.

`hostile.py` has the inputs, as functions that write one of them; `answers.py` gives them to the program, in
processes of their own, and measures what it does.
"""
