"""The assembled network: one decoder that reads text and images, and writes text and image codes.

Its parameter names are those of transformers' `JanusForConditionalGeneration`, so that checkpoints of that layout load
by plain strict loading. Losses live with the trainer; caches and sampling with the engine.

T: tokens of a pack, D: the decoder's width, F: frames, V: text vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rig.dialogue import Kind
from rig.errors import RigError
from rig.model.attention import attend_within
from rig.model.batch import PackedBatch
from rig.model.config import RIGConfig
from rig.model.decoder import Decoder
from rig.model.initial import initialise, unfilled
from rig.model.recompute import Recomputed
from rig.model.vision import AlignerMLP, VisionModel, frames_to_pixels
from rig.model.vq import VQModel


@dataclass(frozen=True, kw_only=True, eq=False)
class RIGOutput:
    """Predictions for the rows that a batch names.

    Attributes:
        text_logits: [n, V], for `PackedBatch.text_rows`.
        code_logits: [m, codebook_size], for `PackedBatch.code_rows`.
    """

    text_logits: Tensor
    code_logits: Tensor


class CodeHead(nn.Module):
    """Hidden states to logits over the codebook."""

    def __init__(self, width: int, codebook_size: int) -> None:
        super().__init__()
        self.proj_out = nn.Linear(width, width)
        self.vision_head = nn.Linear(width, codebook_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return logits [..., codebook_size] of hidden states [..., D]."""
        return self.vision_head(F.gelu(self.proj_out(hidden)))


class Body(nn.Module):
    """Everything but the text head, under transformers' names."""

    def __init__(self, config: RIGConfig) -> None:
        super().__init__()
        width = config.decoder.hidden_size
        self.vision_model = VisionModel(config.vision)
        self.aligner = AlignerMLP(config.vision.hidden_size, width, config.vision.aligner_layers)
        self.vqmodel = VQModel(config.vq, seed=None)
        self.generation_embeddings = nn.Embedding(config.vq.codebook_size, config.vq.code_dim)
        self.generation_aligner = AlignerMLP(config.vq.code_dim, width, config.vq.aligner_layers)
        self.generation_head = CodeHead(width, config.vq.codebook_size)
        self.language_model = Decoder(config.decoder)


class RIG(nn.Module):
    """The network. Its VQ tokenizer is frozen: it has no gradients and never leaves evaluation mode.

    Args:
        config: its sizes.
        seed: seed of the first weights; None leaves them on the meta device, for weights that are about to be loaded.
    """

    def __init__(self, config: RIGConfig, *, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        with unfilled():
            self.model = Body(config)
            self.lm_head = nn.Linear(config.decoder.hidden_size, config.decoder.vocab_size, bias=False)
        if seed is not None:
            self.to_empty(device="cpu")
            initialise(self, seed)
        self.model.vqmodel.requires_grad_(False)
        self.train(self.training)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.lm_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are stored in."""
        return self.lm_head.weight.dtype

    @property
    def runs_in(self) -> dict[str, str]:
        """The names of `device` and `dtype`, for reports."""
        return {"device": self.device.type, "dtype": str(self.dtype).removeprefix("torch.")}

    def place(self, device: torch.device, dtype: torch.dtype) -> RIG:
        """Move the network to `device`, and store it there in `dtype`; return it.

        The VQ tokenizer stays in full precision: it decodes the same codes to the same pixels wherever it runs.
        """
        body = self.model
        for part in (*(child for child in body.children() if child is not body.vqmodel), self.lm_head):
            part.to(device=device, dtype=dtype)
        body.vqmodel.to(device)
        return self

    def train(self, mode: bool = True) -> RIG:
        """Set training mode for everything but the frozen tokenizer."""
        super().train(mode)
        self.model.vqmodel.eval()
        return self

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """Return every parameter that is not frozen, by name; the tokenizer's are."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def compile_blocks(self, backend: str = "inductor") -> None:
        """Compile the blocks for training on packs of one constant T; evaluation mode goes on without.

        On a CPU the tower's are left out: steps are no faster for them, and compiling takes twice as long.
        """
        self.model.language_model.compile_blocks(backend)
        if self.device.type != "cpu":
            self.model.vision_model.compile_blocks(backend)

    def uncompile_blocks(self) -> None:
        """Train as if nothing had ever been compiled."""
        self.model.language_model.uncompile_blocks()
        self.model.vision_model.uncompile_blocks()

    def recompute_layers(self) -> None:
        """Train with less memory and a third more work: each layer's inside is computed again for its gradients."""
        for module in self.modules():
            if isinstance(module, Recomputed):
                module.recompute = True

    def forward(self, batch: PackedBatch) -> RIGOutput:
        """Return the predictions that `batch` asks for; see `hidden` for what it raises."""
        hidden = self.hidden(batch)
        return RIGOutput(
            text_logits=self.text_logits(hidden[batch.text_rows]),
            code_logits=self.code_logits(hidden[batch.code_rows]),
        )

    def hidden(self, batch: PackedBatch) -> Tensor:
        """Return the hidden states [T, D] from which the heads predict; no document sees another.

        Raises:
            RigError: the frames are not of the tower's size, or not as many as the tokens say.
        """
        x_TD = self.embed(batch.ids, batch.kinds, self.read_images(batch.frames))
        device = x_TD.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_TD.dtype
        attend = attend_within(batch.cu_seqlens, x_TD.device, dtype)
        return self.model.language_model(x_TD, batch.positions, attend)

    def read_images(self, frames: Tensor) -> Tensor:
        """Return features [F, read_tokens, D] of uint8 frames [F, H, W, 3].

        Raises:
            RigError: the frames are not of the tower's size.
        """
        size = self.config.vision.image_size
        if not len(frames) and self.training:  # its weights are part of every step, on every process
            return self.read_images(torch.zeros(1, size, size, 3, dtype=torch.uint8))[:0]
        if not len(frames):
            return torch.zeros(0, self.config.vision.num_tokens, self.config.decoder.hidden_size, device=self.device)
        if frames.shape[1:] != (size, size, 3):
            raise RigError(
                f"frames of {tuple(frames.shape[1:])} where the model reads ({size}, {size}, 3); resize them with "
                "rig.model.fit_frame, as an agent's encoder does"
            )
        return self.model.aligner(self.model.vision_model(frames_to_pixels(frames.to(self.device))))

    def embed(self, ids: Tensor, kinds: Tensor, features: Tensor) -> Tensor:
        """Return the decoder's input [T, D].

        Args:
            ids: int64 [T]: text ids and VQ codes; of read images any id.
            kinds: uint8 [T], values of `Kind`.
            features: [F, read_tokens, D]: what the read images' tokens stand for, in order.

        Raises:
            RigError: there are more or fewer features than tokens of read images.
        """
        x_TD = self.embed_text(ids.where(kinds == Kind.TEXT, 0))
        read = (kinds == Kind.READ).nonzero()[:, 0]
        if len(read) != features.shape[0] * features.shape[1]:
            raise RigError(
                f"{len(read)} tokens of read images for {features.shape[0]} frames of {features.shape[1]}; were the "
                "sequences encoded with this model's layout?"
            )
        codes = (kinds == Kind.CODE).nonzero()[:, 0]
        x_TD = x_TD.index_copy(0, read, features.flatten(0, 1).to(x_TD.dtype))
        return x_TD.index_copy(0, codes, self.embed_codes(ids[codes]).to(x_TD.dtype))

    def embed_text(self, ids: Tensor) -> Tensor:
        """Return the embeddings [..., D] of text ids [...]."""
        return self.model.language_model.embed_tokens(ids)

    def embed_codes(self, codes: Tensor) -> Tensor:
        """Return the embeddings [..., D] of VQ codes [...]."""
        return self.model.generation_aligner(self.model.generation_embeddings(codes))

    def text_logits(self, hidden: Tensor) -> Tensor:
        """Return logits [..., V] over text ids of hidden states [..., D]."""
        return self.lm_head(hidden)

    def code_logits(self, hidden: Tensor) -> Tensor:
        """Return logits [..., codebook_size] over VQ codes of hidden states [..., D]."""
        return self.model.generation_head(hidden)
