"""What `mlplab` offers in Python: the same functions as the commands, for frames and in notebooks."""

import random

_state = random.getstate()
import rich.style  # noqa: E402, F401 - draws a random number when it is imported

random.setstate(_state)
