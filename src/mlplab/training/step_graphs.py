"""The steps of a block as CUDA graphs.

On a GPU, to launch the kernels of a step of a small network takes longer than to run them. A graph launches
them all at once. It repeats what it has captured: the same kernels on the same memory. So all that changes
from step to step is copied to where it was when the step was captured, and the result is copied from there.

Before a graph is used, it makes trial steps, which must give the same bits as the steps themselves. If they
do not, or if a graph cannot be captured, the steps are made one kernel at a time, as ever.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

log = logging.getLogger(__name__)

WARM_UP_STEPS = 3
"""Steps before a capture, in which libraries allocate their own memory (as torch's documentation advises)."""

TRIAL_STEPS = 3


class Capture:
    """Captures functions as CUDA graphs, which share their memory, so that one at a time may be replayed."""

    def __init__(self) -> None:
        self._stream, self._pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()  # type: ignore[no-untyped-call]

    def __call__(
        self, function: Callable[..., Tensor], arguments: Sequence[Tensor]
    ) -> tuple[Callable[[], object], Tensor]:
        """Returns what replays the function with the arguments' present values, and the result of a replay.

        It changes what the function changes.
        """
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UP_STEPS):
                function(*arguments)
        torch.cuda.current_stream().wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, self._pool, self._stream):  # waits for all streams
            result = function(*arguments)
        return graph.replay, result


class StepGraphs:
    """Makes the steps of each part, as graphs if possible.

    Args:
        step: takes a part and tensors, changes `state`, and returns a tensor.
        state: all that a step changes and that a later step depends on.
        memory: returns what holds the other tensors that steps use. If that is replaced, the graphs are
            captured anew.
    """

    def __init__(
        self, step: Callable[..., Tensor], state: Iterable[Tensor], memory: Callable[[], Sequence[object]]
    ) -> None:
        self._step, self._state, self._memory = step, list(state), memory
        self._used: Sequence[object] = ()
        self._graphs: dict[int, Callable[..., Tensor]] = {}
        self._failed = False

    def __call__(self, part: int, *tensors: Tensor) -> Tensor:
        """A step of a part of the members."""
        if not self._failed:
            try:
                return self._graph(part, tensors)(*tensors)
            except Exception as error:  # which of them, torch does not say
                self._failed, self._graphs = True, {}
                cause: BaseException = error
                while cause.__context__ is not None:  # a capture that failed fails once more where it ends
                    cause = cause.__context__
                reason = f"{type(cause).__name__}: {cause}".partition("\n")[0]
                log.info("training goes on without CUDA graphs, with the same results: %s", reason)
        return self._step(part, *tensors)

    def _graph(self, part: int, tensors: Sequence[Tensor]) -> Callable[..., Tensor]:
        """The graph of a part's step, captured and tried if there is none.

        Raises:
            RuntimeError: if it gives other bits than the step, or cannot be captured.
        """
        memory = self._memory()
        if [*map(id, memory)] != [*map(id, self._used)]:
            self._used, self._graphs = memory, {}
            self._capture = Capture()  # as the memory of graphs that are gone cannot be shared
        if part not in self._graphs:
            step, arguments = partial(self._step, part), [each.clone() for each in tensors]
            with self._unchanged():
                replay, result = self._capture(step, arguments)

            def graph(*given: Tensor) -> Tensor:
                for argument, value in zip(arguments, given, strict=True):
                    argument.copy_(value)
                replay()
                return result.clone()

            bits = ([each.view(torch.uint8) for each in self._trial(one, tensors)] for one in (graph, step))
            if not all(map(torch.equal, *bits)):
                raise RuntimeError("the steps of a graph give other bits")
            self._graphs[part] = graph
        return self._graphs[part]

    def _trial(self, step: Callable[..., Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
        """What trial steps return, and what they make of the state. Each has other values in all tensors."""
        with self._unchanged():
            results = [step(*(_varied(each, n) for each in tensors)) for n in range(TRIAL_STEPS)]
            return [*results, *(each.clone() for each in self._state)]

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """After this context, the state is as before."""
        before = [each.clone() for each in self._state]
        try:
            yield
        finally:
            for each, values in zip(self._state, before, strict=True):
                each.copy_(values)


def _varied(values: Tensor, number: int) -> Tensor:
    """Other values that a step accepts: classes stay classes, and rows of embeddings stay such rows."""
    return values * 0.5**number + number / 100 if values.is_floating_point() else values.roll(number, 1)
