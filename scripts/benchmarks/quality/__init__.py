"""The benchmark `quality`: test errors and times of mlplab and its peers, on many tables."""
