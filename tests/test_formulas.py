"""Formulas in plain signs become LaTeX, and every formula of the lessons has such a form."""

import re

import pytest
from conftest import ROOT

from minigrad.notebooks.formulas import FORMULA, latex, with_formulas

pytestmark = pytest.mark.on_host
SCRIPTS = [*(ROOT / "lessons").glob("*.py"), *(ROOT / "lessons" / "cases").glob("*.py")]
DISPLAY = {
    "dW1_hat = xᵀ (dh_hat ∘ [h > 0])": r"\widehat{dW}_{1} = x^{T} (\widehat{dh} \odot [h > 0])",
    "∂L/∂wᵢ = Σₙ (pₙ - yₙ) xₙᵢ": (
        r"\frac{\partial L}{\partial w_{i}} = \sum_{n} (p_{n} - y_{n}) x_{ni}"
    ),
    "w ← w - η dL/dw": r"w \leftarrow w - \eta \frac{dL}{dw}",
    "σ(z) = 1/(1 + e^(-z))": r"\sigma (z) = \frac{1}{1 + e^{-z}}",
    "A⁻¹ = √(a² + b²)/2": r"A^{-1} = \sqrt{a^{2} + b^{2}}/2",
    "x̂ = (x - μ)/√(σ² + ε)": r"\hat{x} = \frac{x - \mu}{\sqrt{\sigma^{2} + \varepsilon}}",
    "e^zᵢ / Σⱼ e^zⱼ": r"e^{z_{i}} / \sum_{j} e^{z_{j}}",
    "E[v vᵀ] ∇L = ∇²f": r"\mathbb{E}[v v^{T}] \nabla L = \nabla^{2} f",
    "λ_max < 3,000": r"\lambda_{\mathrm{max}} < 3{,}000",
    "Σ_{ckl} W": r"\sum_{ckl} W",
    "h ≤ 1e-5   for all K": r"h \le 10^{-5} \qquad \ \text{for}\ \ \text{all}\ K",
    r"\frac{a}{b}": r"\frac{a}{b}",
}


@pytest.mark.parametrize("formula", DISPLAY)
def test_a_formula_in_latex(formula):
    assert latex(formula, display=True) == DISPLAY[formula]


def test_fractions_stay_on_the_line_in_a_text():
    text = "The slope $∂L/∂w$ of `a$b` and `c$d` is\n$$ dL/dw = x $$\nand costs 3."
    assert with_formulas(text) == (
        r"The slope $\partial L/\partial w$ of `a$b` and `c$d` is"
        "\n" + r"$$\frac{dL}{dw} = x$$" + "\nand costs 3."
    )


@pytest.mark.parametrize("formula", ["a ☃ b", "√", "(a", "x^", "a_"])
def test_what_has_no_latex_form_is_an_error_that_names_the_formula(formula):
    with pytest.raises(ValueError, match=re.escape(f"formula {formula!r}")):
        latex(formula)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_formula_of_a_lesson_has_a_form_that_a_browser_draws(path):
    converter = pytest.importorskip("latex2mathml.converter")
    text = "\n".join(re.findall(r"^# ?(.*)$", path.read_text(), re.MULTILINE))
    for found in FORMULA.finditer(text):
        for formula, display in ((found[2], True), (found[3], False)):
            if formula:
                assert "<merror" not in converter.convert(latex(formula.strip(), display))
