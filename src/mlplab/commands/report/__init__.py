"""The command report: one page about a run, a sweep, or a folder of them. Imports no torch."""
