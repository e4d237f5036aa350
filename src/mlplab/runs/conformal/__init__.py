"""How sure predictions are: intervals, prediction sets and quantiles that rows which were held out vouch for.

Conformal prediction (Vovk, Gammerman & Shafer 2005). Imports no torch.
"""
