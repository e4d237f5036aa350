"""The steps of a block as a CUDA graph.

On a GPU, to launch the kernels of a step of a small network takes longer than to run them. A graph launches
them all at once. It repeats what it has captured: the same kernels on the same memory. So all that changes
from step to step is copied to where it was when the step was captured, and the result is copied from there.

Before it is used, it makes trial steps, which must give the same bits as the steps themselves. If they do
not, or if there can be no capture, the steps are made one kernel at a time, as ever.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

log = logging.getLogger(__name__)

WARM_UP_STEPS = 3
"""Steps before a capture, in which libraries allocate their own memory (as torch's documentation advises)."""

TRIAL_STEPS = 3


def capture(
    function: Callable[..., Tensor], arguments: Sequence[Tensor]
) -> tuple[Callable[[], object], Tensor]:
    """Captures a function as a CUDA graph, and changes what the function changes.

    Returns:
        What replays it with the arguments' present values, and the result of a replay.
    """
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            function(*arguments)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph, stream=stream):  # waits for all streams
        result = function(*arguments)
    return graph.replay, result


class StepGraph:
    """Makes steps, by a graph if possible.

    Args:
        step: takes tensors, changes `state`, and returns a tensor.
        state: all that a step changes and that a later step depends on.
        memory: returns what holds the other tensors that steps use. If that is replaced, steps are captured
            anew.
    """

    def __init__(
        self, step: Callable[..., Tensor], state: Iterable[Tensor], memory: Callable[[], Sequence[object]]
    ) -> None:
        self._step, self._state, self._memory = step, list(state), memory
        self._used: Sequence[object] = ()
        self._graph: Callable[..., Tensor] = step
        self._failed = False

    def __call__(self, *tensors: Tensor) -> Tensor:
        """A step."""
        memory = self._memory()
        try:
            if not self._failed and [*map(id, memory)] != [*map(id, self._used)]:
                self._used, self._graph = memory, self._captured(tensors)
            return self._graph(*tensors)
        except Exception as error:  # which of them, torch does not say
            if self._failed:
                raise
            self._failed, self._graph = True, self._step
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            log.info("training goes on without CUDA graphs, with the same results: %s", reason)
        return self._step(*tensors)

    def _captured(self, tensors: Sequence[Tensor]) -> Callable[..., Tensor]:
        """A graph of the step, captured and tried.

        Raises:
            RuntimeError: if it gives other bits than the step, or cannot be captured.
        """
        arguments = [each.clone() for each in tensors]
        with self._unchanged():
            replay, result = capture(self._step, arguments)

        def graph(*given: Tensor) -> Tensor:
            for argument, value in zip(arguments, given, strict=True):
                argument.copy_(value)
            replay()
            return result.clone()

        bits = ([each.view(torch.uint8) for each in self._trial(one, tensors)] for one in (graph, self._step))
        if not all(map(torch.equal, *bits)):
            raise RuntimeError("the steps of a graph give other bits")
        return graph

    def _trial(self, step: Callable[..., Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
        """What trial steps return, and what they make of the state. Each has other values in all tensors."""
        with self._unchanged():
            results = [step(*(_varied(each, n) for each in tensors)) for n in range(TRIAL_STEPS)]
            return [*results, *(each.clone() for each in self._state)]

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        before = [each.clone() for each in self._state]
        try:
            yield
        finally:
            for each, values in zip(self._state, before, strict=True):
                each.copy_(values)


def _varied(values: Tensor, number: int) -> Tensor:
    """Other values that a step accepts: classes stay classes, and rows of embeddings stay such rows."""
    return values * 0.5**number + number / 100 if values.is_floating_point() else values.roll(number, 1)
