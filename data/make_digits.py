"""Write digits.npz, the embedded data set, from scikit-learn's copy of the UCI digits.

Needed once only; its result is in the repository. Needs scikit-learn:  python data/make_digits.py
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
images = digits.images.astype(np.uint8)  # (1797, 8, 8), 0 to 16
assert (images == digits.images).all()
assert images.max() == 16
path = Path(__file__).with_name("digits.npz")
np.savez_compressed(path, images=images, labels=digits.target.astype(np.uint8))
print(f"{path}: {len(images)} digits, {path.stat().st_size:,} bytes")
