"""How sure predictions are: intervals, prediction sets and quantiles, by the errors of held-out rows.

Conformal prediction (Vovk, Gammerman & Shafer 2005). Imports no torch.
"""
