"""Why a step cannot be recorded, in a sentence."""

from __future__ import annotations

from typing import Any

from minigrad.arguments import a_parameter, in_words
from minigrad.backend import array_module
from minigrad.capture.cublas import CublasError
from minigrad.capture.cuda import MemoryMovedError, UploadError
from minigrad.capture.watch import Seen
from minigrad.kernels.recording import LookedAtError
from minigrad.layers import Dropout, Layer
from minigrad.losses import Loss
from minigrad.rules import Backprop, LocalLosses, Rule, SyntheticGradients, Wrapper
from minigrad.rules.feedback.matrices import RandomFeedback
from minigrad.rules.synthetic.modules import Trained


class CaptureError(RuntimeError):
    """A step cannot be recorded as a CUDA graph; the message says what stands in the way."""


def check_suitable(model: Layer, rule: Rule) -> None:
    """ValueError if it is clear before the first step that no step can be recorded."""
    param = a_parameter(model)
    xp = None if param is None else array_module(param)
    cuda = getattr(xp, "cuda", None)
    if not hasattr(cuda, "Stream"):
        where = "has no parameters" if xp is None else f"is {xp.__name__}'s, on the host"
        raise ValueError(
            f"capture=True makes one CUDA graph of a step, so it needs CuPy; this model {where}. "
            'Call mg.backend.use("cupy") before you make the model, or leave capture out'
        )
    inside: Any = rule
    while isinstance(inside, Wrapper) and not _is_from_here(inside):
        inside = inside.rule
    if SyntheticGradients in type(inside).__mro__:
        if inside.update_probability < 1 or not all(
            isinstance(module, Trained) for module in (*inside.modules, *inside.inputs)
        ):
            raise ValueError(
                "capture=True records SyntheticGradients with update_probability=1 and with its "
                "own modules: Python draws which blocks are updated, or calls other modules. Leave "
                "capture out"
            )
    elif isinstance(inside, RandomFeedback | LocalLosses) and _is_from_here(inside):
        raise ValueError(f"capture=True does not record {type(inside).__name__}. Leave capture out")
    elif not isinstance(inside, Backprop):
        raise ValueError(
            "capture=True records rules.Backprop(), SyntheticGradients, and rules of your own "
            "around them. "
            f"{type(inside).__name__} draws numbers or looks at them on the host in each step, "
            "which a graph does not repeat. Leave capture out"
        )
    for layer in model.modules():
        off = isinstance(layer, Dropout) and layer.p == 0
        if layer.rng_state() and not off:
            raise ValueError(
                f"capture=True cannot record {layer!r}: it draws random numbers in each step, and "
                "a graph would repeat the same ones. Leave capture out, or leave out this layer"
            )


def check_repeatable(
    before: Seen, after: Seen, drawn: dict[str, bytes], drawn_after: dict[str, bytes]
) -> None:
    """CaptureError if the step between these looks has drawn random numbers, or counted."""
    for name, state in drawn.items():
        if drawn_after.get(name) != state:
            raise CaptureError(
                f"capture=True cannot record this step: {name.partition(' ')[2]} draws random "
                "numbers in each step, and a graph would repeat the same ones. Leave capture out"
            )
    if counted := before.counted(after):
        raise CaptureError(
            f"capture=True cannot record this step: {counted} is another number after it, and a "
            "graph does not repeat what Python does. Leave capture out"
        )


def in_a_sentence(error: Exception, model: Layer) -> Exception:
    """The error of a recording, as an error for the one who asked for it."""
    if isinstance(error, CaptureError):
        return error
    who = _culprit(error, model)
    text = in_words(error)
    if isinstance(error, MemoryMovedError):
        return CaptureError(f"capture=True cannot record this step: {error}")
    if isinstance(error, UploadError):
        said = f"{who} cannot be repeated: {error}"
    elif isinstance(error, LookedAtError):
        said = f"in {who} {error}. A graph has no value for it before it runs"
    elif isinstance(error, CublasError) or "cuBLAS" in text:
        said = (
            f"{who} multiplies matrices in a way that cannot be recorded ({text}). In a layer of "
            'your own write mg.kernels.dot(a, b) in place of a @ b; with kernels.use("plain") no '
            "step can be recorded"
        )
    elif "apture" in text or "capturing" in text:
        said = (
            f"{who} waits for the GPU, or brings a number to the host, which no graph repeats "
            f"({text})"
        )
    else:
        said = f"{who} failed while it was recorded ({text})"
    return CaptureError(
        f"capture=True cannot record this step: {said}. Change this, or leave capture out"
    )


def _culprit(error: Exception, model: Layer) -> str:
    """Whose method the error came from: "Conv2d (layer 2)", "HuberLoss", or "the step"."""
    names = {id(leaf): prefix.removesuffix(".") for prefix, leaf in model.leaves()}
    found = "the step"
    trace = error.__traceback__
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if id(owner) in names:
            place = f" (layer {names[id(owner)]})" if names[id(owner)] else ""
            found = type(owner).__name__ + place
        elif isinstance(owner, Loss) or (isinstance(owner, Rule) and not _is_from_here(owner)):
            found = type(owner).__name__
        trace = trace.tb_next
    return found


def _is_from_here(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "minigrad"
