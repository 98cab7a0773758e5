"""Charts: pure functions from a trace to an Altair chart."""
