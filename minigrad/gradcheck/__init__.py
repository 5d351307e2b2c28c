"""The gradient checker: is this derivative right?

print(mg.gradcheck.check(MyLayer(), x))
print(mg.gradcheck.compare({"dW": (mine, autograd's)}))
"""

from minigrad.gradcheck.check import check, compare
from minigrad.gradcheck.report import Report, Row

__all__ = ["Report", "Row", "check", "compare"]
