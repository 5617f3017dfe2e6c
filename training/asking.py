"""What a network says of photos, batch by batch: on the GPU if there is one, and brought back from it."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from training.model import HeadOutput, InspectionNetwork, NetworkOutput


def said_of(
    network: InspectionNetwork, batches: Iterable[Tensor], *, mixed_precision: bool = False
) -> Iterator[NetworkOutput]:
    """Yields what a network says of each batch. Afterwards it is back on the CPU, where training seals it.

    Args:
        network: In evaluation mode.
        batches: Each [batch, size, size, 3] uint8. RGB.
        mixed_precision: Multiplies in bfloat16; what is yielded is float32 all the same where the network makes it so.

    Yields:
        Tensors on the CPU.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    try:
        for images in batches:
            # Entered anew for each batch: whoever iterates works outside of it.
            with (
                torch.inference_mode(),
                # A GPU's short-cut of float32 (TF32) moves distances of features in the second decimal.
                torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
                torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision),
            ):
                output = network(images.to(device))
            yield _brought_back(output)
    finally:
        network.cpu()


def _brought_back(output: NetworkOutput) -> NetworkOutput:
    heads = {head: HeadOutput(*(each.cpu() for each in said)) for head, said in output.heads.items()}
    return NetworkOutput(heads, output.embedding.cpu(), output.attention.cpu(), output.look.cpu())
