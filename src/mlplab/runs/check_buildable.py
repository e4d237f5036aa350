"""Whether everything that a run needs can be built."""

from pathlib import Path

from mlplab.config import ResolvedConfig
from mlplab.data.cache import RunData
from mlplab.errors import UserError, reason_of, refusal
from mlplab.runs.film.size import check_filmable
from mlplab.runs.loggers.files import build_loggers
from mlplab.runs.warm_start import initial_weights, source
from mlplab.training.run import activations, member_configs
from mlplab.training.stack.build import build_stack_network, check_equal_rows, start_from
from mlplab.training.trainer import build_custom_callbacks, choose_accelerator


def check_buildable(run: ResolvedConfig, data: RunData) -> None:
    """Checks that everything a run needs can be built, without its statistics and initial weights.

    Raises:
        UserError: if the device does not exist, a custom class cannot be imported or instantiated, or the run
            cannot start from `init_from`.
    """
    choose_accelerator(run.trainer)
    check_equal_rows(run, [member.split for member in data.members])
    try:
        members, names = member_configs(run), activations(run)
        numbers = [names.index(name) for name in dict.fromkeys(names)] or [0]  # of different networks
        different = [members[number] for number in numbers]
        network = build_stack_network(different, [data] * len(different), initialize=False)
        check_filmable(run, network)
        if run.init_from:
            schema = data.table.schema
            initial = initial_weights(run, source(run, schema))
            places = {member: initial.places[number] for member, number in enumerate(numbers)}
            start_from(network, initial, places, schema)
        build_custom_callbacks(run)
        build_loggers(run, Path())
    except UserError:
        raise
    except Exception as error:  # from a custom class
        raise refusal(f"cannot be built: {reason_of(error)}", "the run") from error
