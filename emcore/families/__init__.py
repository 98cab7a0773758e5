"""Observation families: p(x | z = k; θ_k)."""
