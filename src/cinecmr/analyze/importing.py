"""Published weights, and those of a user's own runs, become models: checked against the network, kept with a card.

What is read of others is data only: safetensors, a configuration in YAML, or a pickle of tensors through torch's safe
loader, which is turned into safetensors once.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cinecmr import __version__
from cinecmr.analyze import hub, models
from cinecmr.analyze.published_card import describe, describe_run
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_atomically, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor, nn

    from cinecmr.networks.kinds import Config

PICKLES = (".pth", ".pt", ".ckpt", ".bin")
CONFIG = "config.yaml"
LARGEST_CONFIG = 1_000_000  # bytes
RUN, OF_RUN = "recipe.json", "weights.safetensors"  # what a run of `cinecmr finetune` leaves in its folder


@dataclass(frozen=True)
class Request:
    """What a user wants imported.

    Attributes:
        source: a file, a folder (also that of a run of `cinecmr finetune`), or a repository of the hub (OWNER/NAME).
        file: which file of a folder or repository, as the hub names it or short ("segmentation/acdc_sax/0").
        config: the configuration file; else config.yaml beside the weights.
        kind: a kind of `networks.kinds`, where there is no configuration file.
        name: under which it is registered; else made from the file's name.
        sha256: what the file's checksum must be.
        licence: of the weights, as the user knows it.
        download: whether the hub may be asked.
        replace: whether a model imported before under this name is replaced.
    """

    source: str
    file: str | None = None
    config: Path | None = None
    kind: str | None = None
    name: str | None = None
    sha256: str | None = None
    licence: str | None = None
    download: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Found:
    """The files of a request on this computer, and how they are called in the card."""

    weights: Path
    config: Path | None
    called: str
    file: str


def bring(request: Request, folder: Path | None = None, say: Callable[[str], None] = print) -> models.Card:
    """Import weights.

    Args:
        request: what and from where.
        folder: of imported models, see `models.folder_of_models`.
        say: told what is done.

    Returns:
        The card, registered with its weights; both are written whole or not at all.

    Raises:
        RefusedInput: files that are not there, are not what they should be, or do not fit the network.
    """
    found = locate(request, say)
    name = _free_name(request, found, folder)
    published = models.checksum(found.weights)
    if request.sha256 and published != request.sha256.lower():
        raise RefusedInput(
            "other-checksum",
            f"{found.weights.name} has SHA-256 {published[:12]}..., {request.sha256[:12]}... was asked for; "
            "fetch it again",
        )
    with _refusing(found.weights.name):
        tensors, told = _checked(found, request)
    shelf = models.folder_of_models(folder)
    place = shelf / f"{name}.safetensors"
    say(f"writing {name}: {sum(t.numel() for t in tensors.values()):,} numbers")
    _write(place, tensors, found.weights)
    card = models.Card(
        name=name,
        sha256=models.checksum(place),
        parameters=sum(t.numel() for t in tensors.values()),
        source=f"{found.called}, SHA-256 {published}",
        made={"imported_with": f"cinecmr {__version__}"},
        **told,
    )
    write_text(shelf / f"{name}.json", card.model_dump_json(indent=1) + "\n")
    return card


def _checked(found: Found, request: Request) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by the network's own names, and what the card says because of the network.

    Raises:
        ValueError: weights of another network.
    """
    tensors = _tensors(found.weights)
    recipe = found.weights.with_name(RUN)
    if recipe.is_file() and found.config is None and request.kind is None:
        settings = json.loads(recipe.read_text("utf-8"))["objective"]
        _same(_on_paper(partial(_taught, settings)), tensors)
        return tensors, describe_run(settings, request.licence)
    read = read_yaml(found.config) if found.config else None
    config, kind = _configuration(read, request.kind, tensors)
    told = describe(config, kind, read, request.licence, found.called) | {"network": network_as_json(config)}
    return _fitting(config, tensors), told


def _taught(settings: Mapping[str, Any]) -> nn.Module:
    from cinecmr.tasks.taught import task_of

    return task_of(settings).network()


def taught_network(settings: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """The network of a run with its weights."""
    network = _taught(settings)
    network.load_state_dict(dict(weights))
    return network


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """What networks and loaders find wrong with a file is the user's to mend."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedInput("foreign-weights", f"{what}: {error}") from error


def locate(request: Request, say: Callable[[str], None] = print) -> Found:
    """Find the files that a request names, on this computer or, where the user says so, on the hub."""
    path = Path(request.source).expanduser()
    if path.is_file():
        return _found(path, request, path.name, "/".join(path.parts[-4:]))
    if path.is_dir():
        weights = path / _chosen(path, request.file)
        return _found(weights, request, str(weights.relative_to(path)), weights.relative_to(path).as_posix())
    if not hub.is_repository(request.source):
        raise RefusedInput("no-such-path", f"there is no file or folder {request.source}; check the path")
    if request.file is None:
        raise RefusedInput("no-file-named", _which(hub.files() if request.source == hub.CINEMA else []))
    file = hub.full_name(request.file) if request.source == hub.CINEMA else request.file
    weights = hub.fetch(request.source, file, request.download, say)
    config = request.config
    if config is None and request.kind is None:
        config = hub.fetch(request.source, f"{Path(file).parent.as_posix()}/{CONFIG}", request.download, say)
    return Found(weights, config, f"{request.source}: {file}", file)


def _found(weights: Path, request: Request, called: str, file: str) -> Found:
    if not weights.is_file():
        raise RefusedInput("no-weights", f"there is no file {called} in {request.source}; check --file")
    beside = weights.with_name(CONFIG)
    config = request.config or (beside if beside.is_file() and request.kind is None else None)
    return Found(weights, config, called, file)


def _chosen(folder: Path, file: str | None) -> str:
    """The file of a folder: the one named, or the only one."""
    if file is not None:
        return file if (folder / file).is_file() else hub.full_name(file)
    if (folder / RUN).is_file() and (folder / OF_RUN).is_file():
        return OF_RUN
    there = sorted(p for p in folder.rglob("*") if p.suffix in (".safetensors", *PICKLES))
    if len(there) != 1:
        raise RefusedInput("no-file-named", _which([p.relative_to(folder).as_posix() for p in there]))
    return there[0].relative_to(folder).as_posix()


def _which(files: list[str]) -> str:
    shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return (
        f"name one file of weights with --file: there are {shown}" if files else "name the file of weights with --file"
    )


def _free_name(request: Request, found: Found, folder: Path | None) -> str:
    of_run = found.weights.name == OF_RUN and found.weights.with_name(RUN).is_file()
    name = request.name or (f"run-{found.weights.resolve().parent.name}".lower() if of_run else hub.name_of(found.file))
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,79}", name):
        raise RefusedInput("bad-name", f"a model's name is of small letters, digits, '-', '_' and '.', not {name!r}")
    if name in models.names(folder):
        mine = (models.folder_of_models(folder) / f"{name}.json").is_file()
        if not mine or not request.replace:
            way = "choose another --name" + (", or --replace it" if mine else "")
            raise RefusedInput("name-taken", f"there is a model {name} already: {way}")
    return name


def read_yaml(path: Path) -> dict[str, Any]:
    """A configuration file, as plain values.

    Raises:
        RefusedInput: absent, too large, or no YAML mapping.
    """
    import yaml

    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise RefusedInput("bad-config", f"{path.name} is too large for a configuration")
        read = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise RefusedInput("bad-config", f"{path.name} is no configuration in YAML: {reason}") from error
    if not isinstance(read, dict):
        raise RefusedInput("bad-config", f"{path.name} is no configuration: it has no sections")
    return read


def _tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file, finite."""
    if path.suffix in PICKLES:
        from cinecmr.networks.checkpoints import read_pickle

        tensors = read_pickle(path)
    elif path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as error:
            raise RefusedInput("damaged-weights", f"{path.name} is no whole safetensors file: {error}") from error
    else:
        raise RefusedInput("no-weights", f"{path.name} is neither safetensors nor one of {', '.join(PICKLES)}")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RefusedInput("damaged-weights", f"{path.name}: {name} holds values that are not finite")
    return tensors


def _configuration(
    read: Mapping[str, Any] | None, kind: str | None, tensors: Mapping[str, Tensor]
) -> tuple[Config, str]:
    """From the configuration file, the kind the user named, or the one kind that the weights fit."""
    from cinecmr.networks.kinds import KINDS, OTHERS, config_of, read_config

    if kind is not None:
        return config_of(kind), kind
    if read is not None:
        return read_config(read), ""
    fitting = [name for name in (*KINDS, *OTHERS) if _fits(name, tensors)]
    if len(fitting) == 1:
        return config_of(fitting[0]), fitting[0]
    told = f"they fit {', '.join(fitting)}: name one with --kind" if fitting else "give --config, or their --kind"
    raise ValueError(f"no configuration is beside these weights; {told}")


def _fits(kind: str, tensors: Mapping[str, Tensor]) -> bool:
    from cinecmr.networks.kinds import published
    from cinecmr.networks.pretrained import differences

    return not differences(_on_paper(partial(published, kind)), tensors)


def _on_paper(make: Callable[[], nn.Module]) -> nn.Module:
    """A network without memory for its weights."""
    import torch

    with torch.device("meta"):
        return make()


def _same(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    from cinecmr.networks.pretrained import differences

    wrong = differences(network, tensors)
    if wrong:
        raise ValueError(f"they are no weights of this network: {wrong}")


def _fitting(config: Config, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by the network's own names; refused where they are of another network.

    Raises:
        ValueError: says what is missing, unexpected or misshapen.
    """
    from cinecmr.networks.kinds import build
    from cinecmr.networks.video_swin import VideoSwinConfig
    from cinecmr.networks.video_swin_weights import published_tensors

    if isinstance(config, VideoSwinConfig):
        return published_tensors(tensors, config).tensors
    _same(_on_paper(partial(build, config)), tensors)
    return tensors


def _write(place: Path, tensors: Mapping[str, Tensor], given: Path) -> None:
    """Safetensors byte for byte as given; what came as a pickle, or under other names, is written anew."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    if given.suffix == ".safetensors":
        with safe_open(given, "pt") as file:
            same = set(file.keys()) == set(tensors)
        if same:
            write_atomically(place, partial(_copied, given))
            return
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomically(place, lambda temporary: save_file(whole, temporary))


def _copied(given: Path, temporary: Path) -> None:
    import shutil

    shutil.copyfile(given, temporary)


def network_as_json(config: Config) -> dict[str, Any]:
    """A configuration as it stands in a card."""
    told: dict[str, Any] = json.loads(json.dumps(asdict(config)))  # tuples as JSON has them
    return {"type": type(config).__name__, **told}


def empty_network(told: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """The network of a card with its weights, made without drawing others first.

    Raises:
        ValueError: a card of another version, or weights that do not fit.
    """
    import torch

    from cinecmr.networks import kinds

    settings = {k: _tuples(v) for k, v in told.items() if k != "type"}
    config: Config = getattr(kinds, str(told["type"]))(**settings)
    with torch.device("meta"):
        network = kinds.build(config)
    if any(buffer.is_meta for name, buffer in network.named_buffers() if name not in weights):
        network = kinds.build(config)  # it computes tables of its own
    network.load_state_dict(dict(weights), assign=True)
    return network


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
