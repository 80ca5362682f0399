"""Which processors compute the same bytes whatever the batch and the threads."""

import platform

from dogs_vs_cats import environment

# Where TensorFlow computes with oneDNN, as it does on processors that have one of these, neither
# threads nor batches change a byte. Elsewhere it computes with Eigen, whose sums depend on both.
ONEDNN = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
EXACT = bool(ONEDNN & environment._flags()) or platform.machine() in ("arm64", "aarch64")
CLOSE = 1e-5  # of probabilities, elsewhere


class Printed(str):
    """A probability as it is printed; equal to the same digits, or, unless EXACT, to close ones."""

    def __eq__(self, other: object) -> bool:
        if EXACT or not isinstance(other, str):
            return str.__eq__(self, other)
        return abs(float(self) - float(other)) <= CLOSE

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__
