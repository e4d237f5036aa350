"""Which networks a film can show, and at which steps."""

from mlplab import config
from mlplab.errors import Fault, UserError
from mlplab.models import MLP, Linear, Network

ROWS = 5
"""Training rows of which a film shows all activations."""

MAP = 40
"""Values of each of two columns at which a film shows what a network has learned."""

CURVE = 120
"""Values of a single column at which it shows that."""

POINTS = 150
"""Validation rows of which it shows the predictions, where there is no map."""

MOST_VALUES = 320_000
"""Numbers that the page of a run contains at most: 1.7 MB."""

VALUES_OF_WEIGHT = 5
"""Of a frame: the weight before and after a step, its gradient and two moments."""

FEWEST_FRAMES = 20
"""Frames that fit into a page at least."""

MANTISSAS = (
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9),
    (1, 1.5, 2, 3, 4, 6, 8),
    (1, 2, 5),
)
"""The steps of a film between two powers of ten, as multiples of the lower one, from many to few."""


def check_filmable(run: config.ResolvedConfig, network: Network) -> None:
    """Checks that a film can show a run's networks, if it is to be filmed.

    Raises:
        UserError: if they are too large, or no plain MLP.
    """
    if not run.callbacks.film:
        return
    remedy = "use callbacks.film=false, or a small network: experiment=film"
    if not isinstance(network.body, MLP) or network.heads > 1:
        what = "a film can show the networks of model=mlp and model=linear with heads=1"
        raise UserError(Fault(what, "callbacks.film", remedy=remedy))
    weights, others = _counts(network)
    most = MOST_VALUES // FEWEST_FRAMES // run.ensemble
    if VALUES_OF_WEIGHT * weights + others > most:
        networks = (
            f"{run.ensemble} networks of {weights:,} weights" if run.ensemble > 1 else f"{weights:,} weights"
        )
        each = " each" if run.ensemble > 1 else ""
        expected = f"at most about {(most - MAP * MAP // 4) // (VALUES_OF_WEIGHT + 1):,}{each}"
        raise UserError(Fault("too large for a film", "the network", networks, expected, remedy))


def _counts(network: Network) -> tuple[int, int]:
    """How many weights a member has, and how many other numbers a page contains for a frame of it."""
    weights = sum(parameter[0].numel() for parameter in network.parameters())
    units = sum(layer.weight.shape[2] for layer in network.body.modules() if isinstance(layer, Linear))
    return weights, 3 * ROWS * units + max(MAP * MAP // 4, POINTS)  # z, a and δ of units


def film_steps(run: config.ResolvedConfig, network: Network, total: int) -> list[int]:
    """The numbers of steps made at each frame, 0 among them; none if the run is not filmed.

    There are equally many between two powers of ten: a network learns more in its first steps.

    Args:
        total: the number of steps that the run makes.

    Raises:
        UserError: if a film cannot show the run's networks.
    """
    if not run.callbacks.film:
        return []
    check_filmable(run, network)
    weights, others = _counts(network)
    most = MOST_VALUES // (run.ensemble * (VALUES_OF_WEIGHT * weights + others))
    for mantissas in MANTISSAS:
        powers = [10**exponent for exponent in range(len(str(total)))]
        between = {round(mantissa * power) for power in powers for mantissa in mantissas}
        steps = {0, total, *(step for step in between if step < total)}
        if len(steps) <= most:
            break
    return sorted(steps)
