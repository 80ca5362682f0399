"""Backbones: what each needs to be fed, the layers it can be tapped at, its weights.

All of keras.applications, as a table that is derived from Keras (tests/backbone_table.py) and
checked against it. Asking which backbones and taps there are starts no Keras.
"""

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("backbones.json")

# sha256 over the float32 little-endian bytes of each convolution's kernel, in the order
# (height, width, in, out), then of its bias: the ImageNet weights of Simonyan & Zisserman (2014)
# as keras.applications publishes them. Source and evidence: weights.py.
VGG16_IMAGENET = {
    "block1_conv1": "32314ce545bb80d6195eab0ae9b58a0b0975b0ada7c90215625203c5e63848ef",
    "block1_conv2": "e94df3db9672bf8cff1d83679599b0a4cf239d949325d2882f9826951e371973",
    "block2_conv1": "3433a2611003b893575188f77fe26ca40d4617b97781ac3dfe74af031ac04f02",
    "block2_conv2": "dd4bc0521dbbf66a37b6142dc5d32e8804a26923ff328cfaed70933f23ea03b8",
    "block3_conv1": "854cf503b56db99601c68e3dab9c4db10639cf53dca5e7dc494d265fad6a53c3",
    "block3_conv2": "5eb0344bac37c0192b3294aec89b394e95ab13751ab9076623cbf0116388f145",
    "block3_conv3": "0a5d598d159d78c413e033daae20d9b0581eddfe34f8188f17d317d5eb5d230f",
    "block4_conv1": "bbd31456d83dcb21efdc8423b03e76a3667982b7241ef3bb909e6b3f704e63f4",
    "block4_conv2": "0b5df0bf7a506cdd927653308fdd2f38368d0ecbdbbaa10b78289e7fcfaa865a",
    "block4_conv3": "3a13b289451687bfd81fe9bb5d9c0502931d4d48829627dc93273df019539028",
    "block5_conv1": "3b6e2093a4562fd9e41c832ad27dead7d65a4afff79b9f6bdc95d5ea8e22dcdb",
    "block5_conv2": "510ec1a86d78ec8f5922b9534b6f17822dc12248ec9c67329af8ee8e202eeb2f",
    "block5_conv3": "20510d8c6736741bf6b4fdf3b9347c04bf00c80e1cea2e929327444928ce0f2f",
}


@dataclass(frozen=True)
class Tap:
    """A layer that every path from the input to the output goes through, and whose map is 4-D.

    Not the input, preprocessing and zero padding, which know nothing.

    index: its place in the network's list of layers, as Keras numbers layers that have no name
    of their own through a whole process. depth: the channels of its map. offset, stride: what
    its map's side follows from, exactly, for any size of input.
    """

    index: int
    depth: int
    offset: int
    stride: int

    def side(self, size: int) -> int:
        """Return the map's height and width for a photo of `size` x `size` pixels."""
        return (size + self.offset) // self.stride


@dataclass(frozen=True)
class Backbone:
    """One network of keras.applications, without its top.

    title: its builder's name there. module: the submodule that holds its own
    preprocess_input. smallest, default: the input's least and usual height and width in pixels.
    file, url, hash: what keras.applications downloads for it, the ImageNet weights (of the two
    first MobileNets those for 224 px, whatever the size); md5 or, where it has 64 digits, sha256.
    taps: the layers whose output may be kept, first to last. tensors: layer -> sha256 of its
    kernel and bias; for VGG16 alone, whose weights have a second source.
    """

    title: str
    module: str
    smallest: int
    default: int
    file: str
    url: str
    hash: str
    taps: dict[str, Tap]
    tensors: dict[str, str]

    def fingerprint(self) -> str:
        """Return one hash for all weights; part of a cache's key."""
        if not self.tensors:
            return self.hash
        return hashlib.sha256("".join(self.tensors.values()).encode()).hexdigest()

    def dimension(self, tap: str, pooling: str, size: int) -> int:
        """Return how many numbers a photo of `size` x `size` pixels becomes."""
        depth, side = self.taps[tap].depth, self.taps[tap].side(size)
        if pooling in ("none", "flatten"):
            return side * side * depth
        return {"avg": depth, "avgmax": 2 * depth}[pooling]


@functools.cache
def table() -> dict[str, Backbone]:
    """Return name -> backbone, for all there are; read once, when it is first asked for."""
    entries = json.loads(TABLE.read_text(encoding="utf-8"))
    backbones = {}
    for name, fields in entries.items():
        fields["title"] = fields.pop("application")
        fields["taps"] = {tap: Tap(*numbers) for tap, *numbers in fields["taps"]}
        tensors = VGG16_IMAGENET if name == "vgg16" else {}
        backbones[name] = Backbone(**fields, tensors=tensors)
    return backbones
