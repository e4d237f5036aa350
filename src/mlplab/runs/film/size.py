"""Which networks a film can show, and at which steps."""

from mlplab import config
from mlplab.console import plural
from mlplab.errors import Fault, UserError, refusal
from mlplab.models import MLP, Linear, Network
from mlplab.models.targets import ClassProbabilities

ROWS = 5
"""Training rows of which a film shows all activations."""

MAP = 40
"""Values of each of two columns at which a film shows what a network has learned."""

CURVE = 120
"""Values of a single column at which it shows that."""

POINTS = 150
"""Rows that it shows beside that; where there is no map, validation rows with their predictions."""

MOST_VALUES = 320_000
"""The most numbers that the page of a run contains; with them, it has 1.7 MB."""

FEWEST_FRAMES = 20

VALUES_OF_WEIGHT = 5
"""Numbers of a weight in a frame: before and after the step, the gradient, and two moments."""

MANTISSAS = (
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9),
    (1, 1.5, 2, 3, 4, 6, 8),
    (1, 2, 5),
)
"""The steps at which there are frames between two powers of ten, as multiples of the lower one: the first row
whose frames fit into the page is used."""


def check_filmable(run: config.ResolvedConfig, network: Network) -> None:
    """Checks that a film can show a run's networks, if it is to be filmed.

    Raises:
        UserError: if they are too large or too many, or no plain MLP.
    """
    if not run.callbacks.film:
        return
    otherwise = "or leave it out: callbacks.film=false"
    if not isinstance(network.body, MLP) or network.heads > 1:
        what = "a film shows networks of hidden layers, with heads=1"
        raise refusal(what, "callbacks.film", f"use model=mlp model.heads=1, {otherwise}")
    if run.ensemble * _values_of_frame(network) > MOST_VALUES // FEWEST_FRAMES:
        found = f"{plural(run.ensemble, 'network')} of {_weights(network):,} weights"
        remedy = f"use ensemble=1 model.hidden=[8] model.piecewise_linear_bins=0, {otherwise}"
        raise UserError(Fault("too large for a film", "the run", found, remedy=remedy))


def _weights(network: Network) -> int:
    return sum(parameter[0].numel() for parameter in network.parameters())


def _values_of_frame(network: Network) -> int:
    """The numbers of a frame of one network. Maps are of bytes, of which four take the room of a number."""
    units = sum(layer.weight.shape[2] for layer in network.body.modules() if isinstance(layer, Linear))
    bytes_of_cell = 2 if isinstance(network.preprocessing.target_transform, ClassProbabilities) else 1
    predictions = max(MAP * MAP * bytes_of_cell // 4, 2 * POINTS)
    # z, a and δ of each unit, and what the first layer gets
    return (
        VALUES_OF_WEIGHT * _weights(network) + ROWS * (3 * units + network.preprocessing.width) + predictions
    )


def film_steps(run: config.ResolvedConfig, network: Network, total: int) -> list[int]:
    """The numbers of steps made at each frame, 0 among them.

    There are equally many between two powers of ten: a network learns more in its first steps.

    Args:
        total: the number of steps that the run makes.
    """
    most = MOST_VALUES // (run.ensemble * _values_of_frame(network))
    for mantissas in MANTISSAS:
        powers = [10**exponent for exponent in range(len(str(total)))]
        between = {round(mantissa * power) for power in powers for mantissa in mantissas}
        steps = {0, total, *(step for step in between if step < total)}
        if len(steps) <= most:
            break
    return sorted(steps)
