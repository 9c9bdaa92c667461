"""The weights that are known by name: where they come from, and what they expect of an image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import UsageError
from core.findings import did_you_mean
from core.model.input_spec import CHEXNET, CROP, IMAGENET, SQUASH, TORCHXRAYVISION, InputSpec
from core.store.disk import size_in_words

_TORCHVISION = "https://download.pytorch.org/models"
_XRV = "https://github.com/mlmed/torchxrayvision/releases/download/v1"
_XRV_FILE = "densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"


@dataclass(frozen=True)
class KnownWeights:
    """One file of weights.

    Attributes:
        name: as ``cxr-tui weights get`` takes it.
        family: whose network it is.
        trained_on: which images.
        file: the name under which the file is kept; torchxrayvision's names say the data sets.
        url: where it is fetched from; '' if it has to be brought by hand.
        page: where a person reads about it.
        licence: under which its publishers put it.
        input_spec: what its first layer expects; None if only the file can tell.
        num_bytes: its size; None if unknown.
        sha256: its digest in 64 hexadecimal digits; '' if nobody has published one.
    """

    name: str
    family: str
    trained_on: str
    file: str
    url: str
    page: str
    licence: str
    input_spec: InputSpec | None
    num_bytes: int | None = None
    sha256: str = ""

    @property
    def title(self) -> str:
        """Whose network it is, and what it was trained on."""
        return f"{self.family}, trained on {self.trained_on}"

    @property
    def size(self) -> str:
        """Its size in words; '' if unknown."""
        return "" if self.num_bytes is None else size_in_words(self.num_bytes)


def _xrv(
    sets: str, trained_on: str, num_bytes: int | None = None, sha256: str = ""
) -> KnownWeights:
    file = f"{sets}-{_XRV_FILE}"
    return KnownWeights(
        name="xrv-all" if sets.startswith("nih-pc-") else f"xrv-{sets}",
        family="torchxrayvision's DenseNet121",
        trained_on=trained_on,
        file=file,
        url=f"{_XRV}/{file}",
        page="https://github.com/mlmed/torchxrayvision",
        licence="Apache 2.0; the data sets' own terms may apply",
        input_spec=TORCHXRAYVISION,
        num_bytes=num_bytes,
        sha256=sha256,
    )


def _chexnet(name: str, repository: str, file: str, licence: str) -> KnownWeights:
    return KnownWeights(
        name=name,
        family="a CheXNet reproduction",
        trained_on="a random split of NIH",
        file=file,
        url="",
        page=f"https://github.com/{repository}",
        licence=licence,
        input_spec=CHEXNET,
    )


IMAGENET_WEIGHTS = KnownWeights(
    name="imagenet",
    family="torchvision's DenseNet121",
    trained_on="ImageNet's photographs",
    file="densenet121-a639ec97.pth",
    url=f"{_TORCHVISION}/densenet121-a639ec97.pth",
    page="https://docs.pytorch.org/vision/stable/models/densenet.html",
    licence="BSD 3-Clause; ImageNet's own terms may apply",
    input_spec=IMAGENET,
    num_bytes=32_342_954,
    sha256="a639ec97d7c33b07ae66f0b5fb7d0192f95a3b11b7576c66c0126c2a727c4395",
)

KNOWN: tuple[KnownWeights, ...] = (
    IMAGENET_WEIGHTS,
    _xrv(
        "nih-pc-chex-mimic_ch-google-openi-kaggle",
        "all of these, Google's and OpenI",
        28_382_008,
        "56524913dd16a906422e8d8b66a7a5c46be1d82eb7ac012d8103776f1aa68899",
    ),
    _xrv("nih", "NIH"),
    _xrv("pc", "PadChest"),
    _xrv(
        "chex",
        "CheXpert",
        28_381_998,
        "1a914ae802170187a4852e594708206c12468eeeefd66aa4e8e26141649d61a4",
    ),
    _xrv(
        "mimic_ch",
        "MIMIC-CXR, labelled by CheXpert's labeller",
        28_382_012,
        "23b13a04459684ffa41247d068207a7657b4e1b4dec2b02431f5026bd75b1189",
    ),
    _xrv("mimic_nb", "MIMIC-CXR, labelled by NegBio"),
    _xrv("kaggle", "RSNA's pneumonia challenge"),
    _chexnet("chexnet-zech", "jrzech/reproduce-chexnet", "checkpoint", "BSD 3-Clause"),
    _chexnet("chexnet-arnoweng", "arnoweng/CheXNet", "model.pth.tar", "none stated"),
    _chexnet("chexnet-zoogzog", "zoogzog/chexnet", "m-25012018-123527.pth.tar", "none stated"),
)


def known_weights(name: str, known: Iterable[KnownWeights] = KNOWN) -> KnownWeights:
    """The weights with that name.

    Raises:
        UsageError: none have it.
    """
    by_name = {weights.name: weights for weights in known}
    if name in by_name:
        return by_name[name]
    raise UsageError(
        f"no weights are known as {name!r}",
        remedy=did_you_mean(name, by_name) or f"Known: {', '.join(by_name)}.",
    )


_RESIZED = {
    SQUASH: "the whole image squashed to a square",
    CROP: "the shorter side fitted, the centre cropped",
}


def expected_in_words(spec: InputSpec | None) -> str:
    """What weights expect of an image, such as ``3 channels of 0 … 1, …, 224 px``."""
    if spec is None:
        return "what its file says"
    channels = "1 channel" if spec.channels == 1 else f"{spec.channels} channels"
    centred = ", normalised by ImageNet's mean and deviation" if spec.mean == IMAGENET.mean else ""
    resized = _RESIZED.get(spec.resize, "the centre cropped, resized as scikit-image does")
    size = "" if spec.native_size_px is None else f", {spec.native_size_px} px"
    return f"{channels} of {spec.low:g} … {spec.high:g}{centred}; {resized}{size}"
