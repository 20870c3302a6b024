"""Inspection of a feature file: what it holds, what is wrong with it, and what to run on it."""
