"""A network that is being trained, with its optimizer: the passes of a step, forward and back."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from lmcompare import devices
from lmcompare.config.run import RunConfig
from lmcompare.errors import UserError
from lmcompare.model import Backbone
from lmcompare.optim import Optimizer
from lmcompare.training.cuda_graphs import Replayed
from lmcompare.view import View


class Learner:
    """A network on its device, and the optimizer of its weights.

    Attributes:
        net: the network.
        optimizer: holds the master weights.
        micro_batch: rows that one pass takes.
    """

    def __init__(self, config: RunConfig, net: Backbone, device: torch.device, *, precision: str):
        self._device, self._length = device, config.batch.length
        self.net = net.to(device)
        self.optimizer = Optimizer(self.net, config.optimizer, dtype=devices.DTYPES[precision])
        self._pass: Callable[[View], Tensor] = self._forward_and_backward
        if config.runtime.compiles(device.type, config.model.width):
            self.net.compile_layers()
        elif device.type == "cuda":
            self._pass = Replayed(self._forward_and_backward)
        self.micro_batch = config.runtime.micro_batch or devices.rows_at_once(
            device, rows=config.batch.rows, length=config.batch.length
        )

    def backward(self, pieces: Iterable[View], should_stop: Callable[[], bool]) -> Tensor | None:
        """Collect the gradient of a step, one piece at a time.

        Returns:
            The loss of the step, nats a target. None if it was stopped between two pieces; then
            part of the gradient is collected, and no update may follow.

        Raises:
            UserError: the device's memory is too small for a piece.
        """
        self.net.train()
        total = torch.zeros((), device=self._device)
        try:
            for number, piece in enumerate(pieces):
                if number and should_stop():
                    return None
                total += self._pass(piece.to(self._device))
        except torch.OutOfMemoryError:
            raise UserError(
                f"the memory of {devices.device_name(self._device)} is too small for "
                f"{self.micro_batch} rows of {self._length} tokens at once: give it "
                "fewer with runtime.micro_batch"
            ) from None
        return total

    def _forward_and_backward(self, view: View) -> Tensor:
        loss: Tensor = self.net(view)
        loss.backward()
        self.optimizer.collect()
        return loss.detach()

    @contextmanager
    def evaluated(self) -> Iterator[Backbone]:
        """Return the network with the weights that are evaluated, without gradients."""
        self.net.eval()
        with torch.no_grad(), self.optimizer.averaged():
            yield self.net

    def loss(self, pieces: Iterable[View]) -> float:
        """Return the loss under the weights that are evaluated, nats a target."""
        total = torch.zeros((), device=self._device)
        with self.evaluated() as net:
            for piece in pieces:
                total += net(piece.to(self._device))
        return float(total)
