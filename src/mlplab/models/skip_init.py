"""Builds modules without initial weights, for those that are about to be loaded."""

from collections.abc import Mapping
from typing import Any

from torch.overrides import TorchFunctionMode


class SkipInit(TorchFunctionMode):
    """Within this context, `uniform_` and `normal_` of `torch.nn.init` leave tensors as they are.

    Like `torch.nn.utils.skip_init`, for whole modules whose buffers must keep their values.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Returns the tensor of an init function; calls all other functions."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
