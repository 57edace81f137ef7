"""Published networks by name, at their published sizes: CineMA's in `KINDS`, those of the other papers in `OTHERS`.

Options that published weights need and new networks should not have (`image_norm`, `dead_conv`, `sliced_bias`) are on
here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from cinecmr.networks.convunetr import ConvUNetR
from cinecmr.networks.convvit import ConvViT
from cinecmr.networks.mae import MaskedAutoencoder
from cinecmr.networks.multiview import MultiViewConfig, ViewShape
from cinecmr.networks.resnet import ResNet, ResNetConfig
from cinecmr.networks.siren import Siren, SirenConfig
from cinecmr.networks.ssp_unet import SSPUNet, SSPUNetConfig
from cinecmr.networks.unet import UNet, UNetConfig
from cinecmr.networks.video_swin import BASE, TINY, VideoSwin, VideoSwinConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

SAX, LAX_2C, LAX_3C, LAX_4C = VIEWS = ("sax", "lax_2c", "lax_3c", "lax_4c")
SIZES: dict[str, tuple[int, ...]] = {SAX: (192, 192, 16), LAX_2C: (256, 256), LAX_3C: (256, 256), LAX_4C: (256, 256)}


@dataclass(frozen=True)
class PublishedConfig:
    """What tells one published network from another; names are those of the published configuration files.

    Attributes:
        name: "mae", "convunetr", "convvit", "unet" or "resnet".
        views: what it reads; the last two read one view.
        out_chans: label codes with the background, landmarks, classes, or numbers to regress; unused by "mae".
        n_frames, in_chans: frames read together (ED before ES), and channels of each.
        sizes: voxels along x, y[, z] of views that differ from the nominal 192 x 192 x 16 and 256 x 256.
        enc_conv_chans, enc_conv_n_blocks, dec_chans: widths of stem and decoder, masked blocks a stage.
        chans: widths of the U-Net's levels.
        depth, layer_inplanes: of the residual network.
        dropout, drop_path: as in fine-tuning; the autoencoder has neither.
        grad_ckpt: compute again in the backward pass instead of keeping it; for the transformers.
    """

    name: str
    views: tuple[str, ...] = VIEWS
    out_chans: int = 0
    n_frames: int = 1
    in_chans: int = 1
    sizes: Mapping[str, tuple[int, ...]] | None = None
    enc_conv_chans: tuple[int, ...] = (64, 128)
    enc_conv_n_blocks: int = 2
    dec_chans: tuple[int, ...] = (32, 64, 128, 256, 512)
    chans: tuple[int, ...] = (32, 64, 128, 256, 512)
    depth: int = 50
    layer_inplanes: tuple[int, int, int, int] = (64, 128, 256, 512)
    dropout: float = 0.1
    drop_path: float = 0.1
    grad_ckpt: bool = False

    def __post_init__(self) -> None:
        if self.name not in _BUILDERS:
            raise ValueError(f"no published network is called {self.name!r}: there are {', '.join(_BUILDERS)}")
        for view in (*self.views, *(self.sizes or {})):
            if view not in SIZES:
                raise ValueError(f"no view {view!r}: there are {', '.join(SIZES)}")
        if not self.views or (self.name in ("unet", "resnet") and len(self.views) != 1):
            raise ValueError(f"{self.name} reads one view, got {', '.join(self.views) or 'none'}")
        if self.name != "mae" and self.out_chans < 1:
            raise ValueError(f"{self.name} needs out_chans, the number of classes, landmarks or values it answers with")

    @property
    def channels(self) -> int:
        """Channels of an image: those of each frame, times the frames."""
        return self.n_frames * self.in_chans

    def size(self, view: str) -> tuple[int, ...]:
        """Voxels along x, y[, z] of a view's image."""
        return tuple((self.sizes or {}).get(view, SIZES[view]))


def _multiview(config: PublishedConfig) -> MultiViewConfig:
    return MultiViewConfig(
        {view: ViewShape(config.size(view), config.channels) for view in config.views},
        stem_widths=config.enc_conv_chans,
        stem_blocks=config.enc_conv_n_blocks,
        drop_path=0.0 if config.name == "mae" else config.drop_path,
        checkpointing=config.grad_ckpt,
    )


def _mae(config: PublishedConfig) -> nn.Module:
    return MaskedAutoencoder(_multiview(config))


def _convunetr(config: PublishedConfig) -> nn.Module:
    return ConvUNetR(_multiview(config), config.out_chans, config.dec_chans, config.dropout, image_norm=True)


def _convvit(config: PublishedConfig) -> nn.Module:
    return ConvViT(_multiview(config), config.out_chans)


def _unet(config: PublishedConfig) -> nn.Module:
    dims = len(config.size(config.views[0]))
    return UNet(UNetConfig(dims, config.channels, config.out_chans, config.chans, config.dropout, dead_conv=True))


def _resnet(config: PublishedConfig) -> nn.Module:
    dims = len(config.size(config.views[0]))
    return ResNet(ResNetConfig(dims, config.channels, config.out_chans, config.depth, config.layer_inplanes))


_BUILDERS: dict[str, Callable[[PublishedConfig], nn.Module]] = {
    "mae": _mae,
    "convunetr": _convunetr,
    "convvit": _convvit,
    "unet": _unet,
    "resnet": _resnet,
}

KINDS = {
    "pretrain_mae": PublishedConfig("mae"),
    "seg_sax": PublishedConfig("convunetr", (SAX,), 4),
    "seg_lax_4c": PublishedConfig("convunetr", (LAX_4C,), 4),
    "seg_emidec_sax": PublishedConfig("convunetr", (SAX,), 5),
    "seg_myops2020_sax": PublishedConfig("convunetr", (SAX,), 6, in_chans=3),
    "landmark_heatmap_lax_4c": PublishedConfig("convunetr", (LAX_4C,), 3),
    "landmark_heatmap_lax_2c": PublishedConfig("convunetr", (LAX_2C,), 3),
    "cls_cvd_acdc_sax": PublishedConfig("convvit", (SAX,), 5, n_frames=2),
    "cls_sex_mnms_sax": PublishedConfig("convvit", (SAX,), 2, n_frames=2),
    "cls_cvd_mnms2_lax_4c": PublishedConfig("convvit", (LAX_4C,), 6, n_frames=2),
    "cls_vendor_mnms2_lax_4c": PublishedConfig("convvit", (LAX_4C,), 3, n_frames=2),
    "reg_ef_acdc_sax": PublishedConfig("convvit", (SAX,), 1, n_frames=2),
    "reg_ef_mnms2_lax_4c": PublishedConfig("convvit", (LAX_4C,), 1, n_frames=2),
    "landmark_coordinate_lax_4c": PublishedConfig("convvit", (LAX_4C,), 6),
    "unet_3d_sax": PublishedConfig("unet", (SAX,), 4),
    "unet_2d_lax_4c": PublishedConfig("unet", (LAX_4C,), 4),
    "unet_2d_landmark_lax_4c": PublishedConfig("unet", (LAX_4C,), 3),
    "resnet50_3d_acdc_sax": PublishedConfig("resnet", (SAX,), 5, n_frames=2),
    "resnet50_2d_mnms2_lax_4c": PublishedConfig("resnet", (LAX_4C,), 6, n_frames=2),
    "resnet50_2d_landmark_coordinate_lax_4c": PublishedConfig("resnet", (LAX_4C,), 6),
}


Config = PublishedConfig | SSPUNetConfig | VideoSwinConfig | SirenConfig
OTHERS: dict[str, Config] = {
    "ssp_unet": SSPUNetConfig(),
    "ssp_unet_mim": SSPUNetConfig(classes=1, outputs=1),
    "video_swin_tiny": replace(TINY, sliced_bias=True),
    "video_swin_base": replace(BASE, sliced_bias=True),
    "siren": SirenConfig(),
}


def config_of(kind: str, **changed: Any) -> Config:
    """The configuration of a kind, some of its settings changed.

    Args:
        kind: one of `KINDS` or `OTHERS`, such as "seg_sax".
        changed: by the names of that configuration, such as `out_chans=3`.

    Raises:
        ValueError: a kind or a name that does not exist, or a configuration that makes no network.
    """
    kinds: dict[str, Config] = {**KINDS, **OTHERS}
    if kind not in kinds:
        raise ValueError(f"no published network {kind!r}{_near(kind, set(kinds))}: there are {', '.join(kinds)}")
    known = {field.name for field in fields(kinds[kind])}
    for name in changed:
        if name not in known:
            raise ValueError(
                f"{kind} has no setting {name!r}{_near(name, known)}: there are {', '.join(sorted(known))}"
            )
    return replace(kinds[kind], **changed)


def published(kind: str, **config: Any) -> nn.Module:
    """A published network, not yet holding published weights.

    Build it inside `with torch.device("meta")` where only names and shapes matter, or weights follow at once.

    Args:
        kind: one of `KINDS` or `OTHERS`, such as "seg_sax".
        config: what shall differ from that kind, by the names of its configuration, such as `out_chans=3`.

    Returns:
        Of `KINDS` a network that takes (and, for labels and heatmaps, gives) a dictionary by view; the baselines
        "unet_..." and "resnet50_..." take and give tensors. Of `OTHERS` what their own modules say.

    Raises:
        ValueError: a kind or a name that does not exist, or a configuration that makes no network.

    Source: CineMA (Fu et al.), appendix C; its published configuration files; the other papers' code.
    """
    return build(config_of(kind, **config))


def build(config: Config) -> nn.Module:
    """The network of a configuration, such as one that `read_config` found in a file."""
    if isinstance(config, SSPUNetConfig):
        return SSPUNet(config)
    if isinstance(config, VideoSwinConfig):
        return VideoSwin(config)
    return Siren(config) if isinstance(config, SirenConfig) else _BUILDERS[config.name](config)


def read_config(read: Mapping[str, Any]) -> PublishedConfig:
    """The configuration in a published `config.yaml`, once that is read.

    Args:
        read: with "model" (`name`, `views`, `n_frames`, `out_chans` and settings under the network's own name) and
            "data" (`sax` and `lax` with `patch_size` and `in_chans`; `class_column` and its list of classes, or
            `regression_column`).

    Returns:
        What `build` takes. A classifier answers with as many values as its list has classes, a regression with one,
        others with `out_chans`.

    Raises:
        ValueError: no model, a view or a network that is not known, or no number of outputs.
    """
    model, data = read.get("model"), read.get("data", {})
    if not isinstance(model, dict) or not isinstance(data, dict):
        raise ValueError("a published configuration has the sections model and data; this one has not")
    name = model.get("name", "mae")
    views = model.get("views", VIEWS)
    views = (views,) if isinstance(views, str) else tuple(views)
    if model.get("size", "base") != "base" or model.get(name, {}).get("size", "base") != "base":
        raise ValueError("published networks have the size base; this configuration asks for another")
    shapes = {view: data.get("sax" if view == SAX else "lax", {}) for view in views}
    own = model if name == "mae" else model.get(name, {})
    taken = {field.name for field in fields(PublishedConfig)} - {"name", "views", "sizes", "in_chans", "out_chans"}
    settings = {key: _frozen(value) for key, value in own.items() if key in taken}
    channels = {int(shape.get("in_chans", 1)) for shape in shapes.values()}
    if len(channels) > 1:
        raise ValueError(f"all views of a published network have as many channels, got {sorted(channels)}")
    return PublishedConfig(
        name,
        views,
        out_chans=_answers(model, data),
        in_chans=channels.pop() if channels else 1,
        sizes={view: tuple(shape["patch_size"]) for view, shape in shapes.items() if "patch_size" in shape},
        **{"n_frames": int(model.get("n_frames") or 1), "grad_ckpt": bool(read.get("grad_ckpt", False)), **settings},
    )


def _answers(model: Mapping[str, Any], data: Mapping[str, Any]) -> int:
    if data.get("class_column"):
        return len(data[data["class_column"]])
    return 1 if data.get("regression_column") else int(model.get("out_chans") or 0)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _near(name: str, known: set[str]) -> str:
    close = get_close_matches(name, sorted(known), 1)
    return f" (did you mean {close[0]}?)" if close else ""
