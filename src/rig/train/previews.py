"""Pictures of dreams beside the truth, drawn while a run trains.

Each row of a preview is one held-out step: the frame it starts from, the frame that really came, that frame through the
tokenizer (the best a dream could be), and the dream of the step's own action.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rig.actions import ActionSpace
from rig.contact_sheets import write_sheet
from rig.dialogue import PromptFormat, SegmentEncoder, TokenSequence, WriteImage, basic_conversation
from rig.engine import GREEDY, Conversation, Engine, GeneratedImage, GenerateImage, Prefill, Slot, Stream
from rig.model import RIG, fit_frame
from rig.records import CodedStep, Codes, Step

Preview = Callable[[RIG, int], Mapping[str, float]]
"""Called with (model, step); draws what it likes into the run's folder and returns values to log."""


def previewed(preview: Preview, model: RIG, step: int) -> Mapping[str, float]:
    """Return what `preview` gives to log; where it fails, say so in a line and return nothing: training goes on."""
    try:
        return preview(model, step)
    except Exception as error:
        told = str(error).split("\n")[0]
        tqdm.write(f"no preview of step {step} ({type(error).__name__}: {told[:200]}); training goes on", sys.stderr)
        return {}


def dream_of(
    engine: Engine, encoder: SegmentEncoder, steps: Sequence[Step], space: ActionSpace, prompt_format: PromptFormat
) -> Codes:
    """Return the codes [B, write_tokens] that the model dreams for steps whose thought and action are given."""
    stream: Stream[Codes] = engine.stream(len(steps))
    for step in steps:
        segments = basic_conversation(step, space, prompt_format)
        image = next(index for index, segment in enumerate(segments) if isinstance(segment, WriteImage))
        stream.submit(0, partial(_dream, encoder=encoder, opening=encoder.encode(segments[:image])))
    return np.stack(stream.finish())


def _dream(slot: Slot, encoder: SegmentEncoder, opening: TokenSequence) -> Conversation[Codes]:
    """Let the model write an image behind what opens it, and return its codes."""
    yield Prefill(tokens=opening)
    yield Prefill(tokens=encoder.open_image(slot.next_position))
    image: GeneratedImage = yield GenerateImage(sampler=GREEDY)
    return image.codes


class DreamPreview:
    """Draws `previews/step-<n>.png` in a run's folder.

    Args:
        folder: the run's folder.
        steps: held-out steps with thoughts, next frames and their codes.
        encoder: the model's.
        space: the steps' action space.
        prompt_format: the fields that the model speaks; it must dream.
    """

    def __init__(
        self,
        folder: Path,
        steps: Sequence[Step],
        encoder: SegmentEncoder,
        space: ActionSpace,
        prompt_format: PromptFormat,
    ) -> None:
        self.folder, self.steps, self.encoder, self.space, self.prompt_format = (
            folder,
            list(steps),
            encoder,
            space,
            prompt_format,
        )
        lengths = [encoder.length(basic_conversation(step, space, prompt_format)) for step in self.steps]
        self._capacity = max(1024, *lengths, 0)

    def __call__(self, model: RIG, step: int) -> dict[str, float]:
        """Draw the preview of `step`; return `preview/codes_right`, the share of codes dreamed as they came."""
        engine = Engine(model, capacity=self._capacity)
        codes = dream_of(engine, self.encoder, self.steps, self.space, self.prompt_format)
        truth = np.stack([shown.next_codes for shown in self.steps if isinstance(shown, CodedStep)])
        frames, ceiling = engine.decode_images(codes), engine.decode_images(truth)
        fit = partial(fit_frame, size=frames.shape[1])
        rows = [
            [fit(shown.frame), fit(shown.next_frame), best, dream]
            for shown, best, dream in zip(self.steps, ceiling, frames, strict=True)
            if shown.next_frame is not None
        ]
        write_sheet(self.folder / "previews" / f"step-{step:06d}.png", rows)
        return {"preview/codes_right": float((codes == truth).mean())}
