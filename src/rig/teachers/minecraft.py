"""STEVE-1 and VPT, as MineStudio has them, as teachers in Minecraft.

Both are recurrent networks that decide at each tick, on 128 x 128 frames of the picture that the engine draws. Their
turns are a few degrees or less; on our grid of 5 what is rounded off goes into the next tick, as in imported play.
Weights are read from a folder or from Hugging Face's cache: nothing is downloaded, and nothing asked.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from weakref import WeakKeyDictionary
from zlib import crc32

import numpy as np

from rig.actions import MINERL, Action, CameraRounding
from rig.envs import World
from rig.errors import RigError
from rig.registry import require
from rig.validation import Meta, check_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from rig.envs.minecraft.world import MinecraftWorld

EXTRA = "minestudio"

_SIDE = 128
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SETTINGS = "config.json"
_TEXT, _TOKENIZER = "openai/clip-vit-base-patch16", "tokenizer.json"
"""Whose tokenizer STEVE-1 reads its instruction by; MineStudio would download it."""
_CAMERA: Mapping[str, Any] = {
    "camera_binsize": 2,
    "camera_maxval": 10,
    "camera_mu": 10.0,
    "camera_quantization_scheme": "mu_law",
}
_CAMERA_BINS = 11


@dataclass(frozen=True, kw_only=True)
class VPTConfig:
    """Which VPT plays.

    Attributes:
        weights: a folder with config.json and the weights, or the name of a repository in Hugging Face's cache.
        device: None: the GPU, where there is one.
        seed: of what is drawn of its choices.
    """

    weights: Annotated[str, Meta(min_length=1)] = "CraftJarvis/MineStudio_VPT.rl_from_early_game_2x"
    device: str | None = None
    seed: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class Steve1Config(VPTConfig):
    """Which STEVE-1 plays, and how.

    Attributes:
        text: what it is told; None: the task's instruction.
        cond_scale: how much what it is told outweighs what it would do anyway.
    """

    weights: Annotated[str, Meta(min_length=1)] = "CraftJarvis/MineStudio_STEVE-1.official"
    text: str | None = None
    cond_scale: Annotated[float, Meta(ge=0, le=100)] = 4.0


@dataclass
class _Mind:
    """What a policy keeps of an episode."""

    episode: int
    condition: dict[str, Any]
    state: Any = None
    camera: CameraRounding = field(default_factory=lambda: CameraRounding(MINERL))


class _PolicyTeacher:
    """A policy of MineStudio's; it plays in several worlds at once, and remembers the episode of each.

    Raises:
        RigError: the weights are not here.
        MissingDependencyError: MineStudio is not installed.
    """

    kind: ClassVar[str]
    policy: ClassVar[str]
    Config: ClassVar[type[VPTConfig]]

    def __init__(self, config: VPTConfig | None = None) -> None:
        self.config = config or self.Config()
        if find_spec("minestudio") is None:  # said now, and not when an engine has started
            require("minestudio", EXTRA)
        weights_folder(self.config.weights)
        self._minds: WeakKeyDictionary[World, _Mind] = WeakKeyDictionary()

    @cached_property
    def name(self) -> str:
        """The kind and its weights, by their folder or repository, and the first digits of their hash."""
        folder = weights_folder(self.config.weights)
        named = folder.name if Path(self.config.weights).is_dir() else self.config.weights
        return f"{self.kind} {named}@{_digest(_weights_in(folder))}"

    def act(self, world: World) -> Action:
        """Return what the policy does in the current tick of a Minecraft world, with the keys that the engine has.

        Raises:
            RigError: it is another world, or the weights are another policy's.
            MissingDependencyError: MineStudio lacks something.
        """
        from rig.envs.minecraft.world import MinecraftWorld

        if not isinstance(world, MinecraftWorld):
            raise RigError(f"{self.kind} plays Minecraft, and not {world.name!r}; give that world's own with --teacher")
        mind = self._minds.get(world)
        if mind is None or mind.episode != world.episode:
            mind = self._minds[world] = _Mind(episode=world.episode, condition=self.condition(world))
        keys, turn = self._decide(world, mind)
        return mind.camera.quantise(keys & world.keys, turn)

    @abstractmethod
    def condition(self, world: World) -> dict[str, Any]:
        """Return what the policy is given beside every frame of an episode."""

    def _decide(self, world: MinecraftWorld, mind: _Mind) -> tuple[frozenset[str], tuple[float, float]]:
        """Return the keys that the policy presses, and its turn [pitch, yaw] in degrees."""
        given = {"image": _image(world.native_frame).to(self.network.device), **mind.condition}
        with _drawing(f"{self.config.seed}/{world.task.name}/{world.setting}/{world.seed}/{world.ticks}"):
            chosen, mind.state = self.network.get_action(given, mind.state)
        # The mapping takes a batch of one, [1, 1], whatever the policy's own shape is.
        indices = {name: value.reshape(1, 1).cpu().numpy() for name, value in chosen.items()}
        pressed = self._transformer.policy2env(self._mapping.to_factored(indices))
        pitch, yaw = (float(angle) for angle in np.ravel(pressed["camera"]))
        return frozenset(key for key in MINERL.keys if key in pressed and int(pressed[key].item())), (pitch, yaw)

    @cached_property
    def network(self) -> Any:
        """The policy's network, loaded when it is first asked."""
        from rig.model import best_device

        folder = weights_folder(self.config.weights)
        kind = getattr(require("minestudio.models", EXTRA), self.policy)
        try:
            network = kind.from_pretrained(str(folder))
        except Exception as error:
            raise RigError(
                f"{self.kind} cannot be made of the weights in {folder} ({type(error).__name__}: {error}); give those "
                "of a policy of this kind: --teacher-config weights=…"
            ) from error
        return network.to(self.config.device or best_device()).eval()

    @cached_property
    def _mapping(self) -> Any:
        module: Any = require("minestudio.utils.vpt_lib.action_mapping", EXTRA)
        return module.CameraHierarchicalMapping(n_camera_bins=_CAMERA_BINS)

    @cached_property
    def _transformer(self) -> Any:
        module: Any = require("minestudio.utils.vpt_lib.actions", EXTRA)
        return module.ActionTransformer(**_CAMERA)


class VPTTeacher(_PolicyTeacher):
    """VPT, which plays as it was trained to and is told nothing."""

    kind = "vpt"
    policy = "VPTPolicy"
    Config = VPTConfig

    def condition(self, world: World) -> dict[str, Any]:
        """Return nothing."""
        return {}


class Steve1Teacher(_PolicyTeacher):
    """STEVE-1, which is told the task in words."""

    kind = "steve1"
    policy = "SteveOnePolicy"
    Config = Steve1Config
    config: Steve1Config

    def __init__(self, config: Steve1Config | None = None) -> None:
        super().__init__(config)
        _cached(_TEXT, _TOKENIZER, f"{_TEXT} --include '*.json' '*.txt'")

    def condition(self, world: World) -> dict[str, Any]:
        """Return what it is told, encoded once: the network would draw another encoding in each tick."""
        import torch

        text = world.task.instruction if self.config.text is None else self.config.text
        asked = {"cond_scale": self.config.cond_scale, "text": text}
        with _drawing(f"{self.config.seed}/{world.seed}/{text}"), torch.inference_mode():
            return {"condition": self.network.prepare_condition(asked)}


def weights_folder(weights: str) -> Path:
    """Return the folder that holds the settings and the weights of a policy.

    Args:
        weights: a folder, or the name of a repository of the hub.

    Raises:
        RigError: they are not on this machine.
    """
    folder = Path(weights)
    if not folder.is_dir():
        folder = _cached(weights, _SETTINGS, f"{weights}, or give a folder: --teacher-config weights=FOLDER").parent
    missing = [name for name in (_SETTINGS,) if not (folder / name).is_file()]
    if missing or not any((folder / name).is_file() for name in _WEIGHTS):
        raise RigError(f"{weights} holds no {' or '.join(missing or _WEIGHTS)}; give a whole copy of a policy's folder")
    return folder


def _cached(repository: str, name: str, fetch: str) -> Path:
    """Return where a repository's file lies in Hugging Face's cache; `fetch` ends the command that puts it there.

    Raises:
        RigError: it does not.
    """
    hub: Any = require("huggingface_hub", EXTRA)
    try:
        found = hub.try_to_load_from_cache(repository, name)
    except ValueError:  # no name of a repository
        found = None
    if not isinstance(found, str):
        raise RigError(
            f"{repository!r} is neither a folder nor in Hugging Face's cache on this machine. Fetch it: hf download "
            f"{fetch}"
        )
    return Path(found)


def _weights_in(folder: Path) -> Path:
    return next(folder / name for name in _WEIGHTS if (folder / name).is_file())


def _digest(path: Path) -> str:
    from rig.storage import sha256_file

    return sha256_file(path)[:8]


def _image(frame: np.ndarray) -> Tensor:
    """Return a frame, uint8 [H, W, 3], as uint8 [1, 1, 128, 128, 3]: bilinear without a filter, as OpenCV does it."""
    import torch
    from torch.nn.functional import interpolate

    planes = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
    small = interpolate(planes, size=(_SIDE, _SIDE), mode="bilinear", align_corners=False)
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)[None]


@contextmanager
def _drawing(what: str) -> Iterator[None]:
    """Draw from a stream of its own, whatever was drawn before and is drawn behind."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(crc32(what.encode()))
        yield
