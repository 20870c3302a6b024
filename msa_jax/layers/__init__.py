"""Layers that at least two models share."""
