"""Rules that send errors down without the transposed weights."""

from minigrad.rules.feedback.alignment import FeedbackAlignment
from minigrad.rules.feedback.direct import DirectFeedbackAlignment, DirectRandomTargetProjection
from minigrad.rules.feedback.signs import SignSymmetric

__all__ = [
    "DirectFeedbackAlignment",
    "DirectRandomTargetProjection",
    "FeedbackAlignment",
    "SignSymmetric",
]
