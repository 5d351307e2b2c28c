"""Formulas as the lessons write them, in plain signs, become LaTeX for a notebook.

    $dh_hat ∘ [h > 0]$   →   $\\widehat{dh} \\odot [h > 0]$

A name may have a number and endings: `W1`, `x_dot`, `h_hat`, `λ_max`. Signs for subscripts and
superscripts follow what they belong to: `xᵢ`, `θ²`. `^(...)`, `_(...)` and `_{ij}` do the same for
more. A formula on a line of its own, $$ ... $$, has its fractions of single names above each other.
Two blanks part a remark from the formula. What has a backslash is LaTeX already, and stays.
"""

from __future__ import annotations

import re
import unicodedata

CODE = r"```.*?```|(?<!`)`[^`\n]+`"
FORMULA = re.compile(rf"({CODE})|\$\$(.+?)\$\$|\$(?!\s)([^$\n]+(?:\n[^$\n]+)?)(?<!\s)\$", re.S)


def _table(text: str) -> dict[str, str]:
    words = text.split()
    return {sign: "\\" + name for sign, name in zip(words[::2], words[1::2], strict=True)}


GREEK = _table("""
α alpha  β beta  γ gamma  δ delta  ε varepsilon  ζ zeta  η eta  θ theta  κ kappa  λ lambda  μ mu
ν nu  ξ xi  π pi  ρ rho  σ sigma  τ tau  φ varphi  χ chi  ψ psi  ω omega  Γ Gamma  Δ Delta
Θ Theta  Λ Lambda  Φ Phi  Ψ Psi  Ω Omega  ∂ partial  ∇ nabla  ℓ ell
""")
SIGNS = _table("""
· cdot  × times  ∘ odot  ≤ le  ≥ ge  ≠ ne  ≈ approx  ± pm  ∞ infty  → to  ← leftarrow  Σ sum  ∑ sum
Π prod  ∏ prod  ∈ in  … dots  ⟨ langle  ⟩ rangle  ∝ propto  ~ sim  * cdot  { {  } }  % %  ‖ |
⇒ Rightarrow  ⌊ lfloor  ⌋ rfloor  ≪ ll  ≫ gg  ½ tfrac12  & &  # #  ∫ int  ⊥ perp
""")
PAIRS = {"...": r"\dots", "<=": r"\le", ">=": r"\ge", "->": r"\to", "<-": r"\leftarrow"}
PAIRS |= {"!=": r"\ne", ":=": ":="}
PLAIN = set("+-−=<>/()[]|,.;:!'")
FUNCTIONS = {"exp", "ln", "log", "max", "min", "sin", "cos", "tan", "tanh", "sup", "inf", "arg"}
WORDS = {"for", "if", "and", "or", "else", "where", "of", "with", "in", "the", "is", "than", "all"}
OVER = {"hat": ("hat", "widehat"), "dot": ("dot", "dot"), "bar": ("bar", "overline")}
LETTER = f"[A-Za-z{''.join(GREEK)}]"
NAME = re.compile(rf"({LETTER}[A-Za-z]*)(\d*)((?:_[A-Za-z0-9]+)*)")
ACCENTED = {"\u0302": "hat", "\u0307": "dot", "\u0304": "bar"}  # x̂, ẋ and x̄ as single signs


def with_formulas(text: str) -> str:
    """The text of a markdown cell with its formulas in LaTeX; code in backticks stays."""

    def translated(found: re.Match[str]) -> str:
        code, display, inline = found.groups()
        if code is not None:
            return code
        if display is not None:
            return f"$${latex(display.strip(), display=True)}$$"
        return f"${latex(inline)}$"

    return FORMULA.sub(translated, text)


def latex(formula: str, display: bool = False) -> str:
    """One formula in LaTeX. A sign that has no translation is a ValueError that names it."""
    if "\\" in formula:
        return formula
    return _Reader(formula, display).whole()


class _Reader:
    """Reads a formula from left to right."""

    def __init__(self, text: str, display: bool):
        self.text = unicodedata.normalize("NFC", text)
        self.display = display
        self.at = 0

    def whole(self) -> str:
        parts = []
        while self.at < len(self.text):
            parts.append(self.piece())
        return re.sub(r" +(?=[ )\]}^_,;:.]|$)", "", "".join(parts)).strip()

    def piece(self) -> str:
        """The next atom, with a fraction that it begins; or a sign."""
        if found := self.match(r"\s+"):
            return r" \qquad " if "  " in found and "\n" not in found else " "
        for sign, command in PAIRS.items():
            if self.text.startswith(sign, self.at):
                self.at += len(sign)
                return f"{command} "
        start = self.at
        atom = self.atom()
        if atom is None:
            return self.sign()
        if self.display and self.text[start] not in "√ΣΠ" and self.match(r"/(?=\S)"):
            below = self.atom()
            if below is None:
                return f"{atom}/"
            return rf"\frac{{{self.bare(atom)}}}{{{self.bare(below)}}}"
        return atom

    def atom(self) -> str | None:
        """A number, a name, a root or a bracket, with what stands above and below it."""
        head = self.head()
        return None if head is None else head + self.scripts()

    def head(self) -> str | None:
        if number := self.match(r"\d+(?:[.,]\d+)*(?:e[-+]?\d+)?|\.\d+"):
            return self.number(number)
        if self.match("√"):
            below = self.atom()
            if below is None:
                raise ValueError(f"a root of nothing in the formula {self.text!r:.80}")
            return rf"\sqrt{{{self.bare(below)}}}"
        if self.text[self.at : self.at + 1] in ("∂", "∇"):
            sign = _letter(self.text[self.at]).rstrip()
            self.at += 1
            sign += self.scripts()
            rest = self.atom() if self.match(rf"(?={LETTER})") is not None else None
            return sign if rest is None else f"{sign} {rest}"
        if self.text[self.at : self.at + 1] == "(":
            return self.bracket()
        accented = unicodedata.normalize("NFD", self.text[self.at : self.at + 2])[:2]
        if len(accented) == 2 and accented[1] in ACCENTED:
            self.at += len(unicodedata.normalize("NFC", accented))
            return rf"\{ACCENTED[accented[1]]}{{{_letter(accented[0])}}}"
        found = NAME.match(self.text, self.at)
        if not found:
            return None
        self.at = found.end()
        word, digits, endings = found.groups()
        if not digits + endings and self.text[self.at : self.at + 1] in ACCENTED:  # dx and a hat
            endings = f"_{ACCENTED[self.text[self.at]]}"
            self.at += 1
        return self.name(word, digits, endings)

    def bracket(self) -> str:
        """( ... ), to its end. One that is not closed is a sign."""
        depth = 0
        for end in range(self.at, len(self.text)):
            depth += {"(": 1, ")": -1}.get(self.text[end], 0)
            if depth == 0:
                inside = _Reader(self.text[self.at + 1 : end], False).whole()
                self.at = end + 1
                return f"({inside})"
        raise ValueError(f"a bracket is not closed in the formula {self.text!r:.80}")

    @staticmethod
    def bare(atom: str) -> str:
        """Without brackets around the whole: a fraction's line and a root need none."""
        return atom[1:-1] if atom.startswith("(") and _closes_last(atom) else atom

    @staticmethod
    def number(text: str) -> str:
        value, _, power = text.partition("e")
        value = value.replace(",", "{,}")
        if not power:
            return value
        return (rf"{value} \cdot " if value != "1" else "") + f"10^{{{int(power)}}}"

    def name(self, word: str, digits: str, endings: str) -> str:
        """W1_hat: the letters, a number below, endings above or below."""
        below = [digits] if digits else []
        above = []
        for ending in endings.split("_")[1:]:
            if ending in OVER:
                above.append(ending)
            else:
                below.append(ending if len(ending) == 1 or ending.isdigit() else _upright(ending))
        text = self.letters(word)
        for ending in above:
            text = rf"\{OVER[ending][len(word) > 1]}{{{text}}}"
        return text + (f"_{{{','.join(below)}}}" if below else "")

    def letters(self, word: str) -> str:
        if word in FUNCTIONS:
            return rf"\{word} "
        if word in WORDS:
            return rf"\ \text{{{word}}}\ "
        if word == "E" and self.text[self.at : self.at + 1] in "[|":
            return r"\mathbb{E}"
        if word[0] in GREEK:
            return _letter(word[0]) + (self.letters(word[1:]) if word[1:] else "")
        if len(word) == 1 or (len(word) == 2 and (word[0] == "d" or word.isupper())):
            return word  # x, dW, AB
        return _upright(word)

    def scripts(self) -> str:
        """Signs that stand above or below the line, and ^... and _(...)."""
        parts = {"_": "", "^": ""}
        while True:
            kind, text = self.script()
            if not kind:
                break
            parts[kind] += text
        return "".join(f"{kind}{{{text}}}" for kind, text in parts.items() if text)

    def script(self) -> tuple[str, str]:
        sign = self.text[self.at : self.at + 1]
        if sign in ("^", "_") and sign:
            self.at += 1
            if inside := self.match(r"\{[A-Za-z0-9, ]+\}"):
                return sign, inside[1:-1]
            minus = self.match("-") or ""
            atom = self.atom() if sign == "^" else self.head()
            if atom is None:
                raise ValueError(f"nothing after {sign} in the formula {self.text!r:.80}")
            return sign, minus + self.bare(atom)
        kind = {"<sub>": "_", "<super>": "^"}.get(
            unicodedata.decomposition(sign or " ").split(" ")[0]
        )
        if kind is None or not sign:
            return "", ""
        self.at += 1
        plain = unicodedata.normalize("NFKC", sign).replace("−", "-")
        return kind, _letter(plain)

    def sign(self) -> str:
        sign = self.text[self.at]
        self.at += 1
        if sign in SIGNS:
            return f"{SIGNS[sign]}{self.scripts()} "
        if sign in PLAIN:
            return sign + (self.scripts() if sign in ")]|" else "")
        raise ValueError(f"{sign!r} in the formula {self.text!r:.80} has no LaTeX form here")

    def match(self, pattern: str) -> str | None:
        found = re.compile(pattern).match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found.group()


def _closes_last(text: str) -> bool:
    """Whether the bracket that opens first closes last."""
    depth = 0
    for i, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0:
            return i == len(text) - 1
    return False


def _upright(word: str) -> str:
    return rf"\mathrm{{{word}}}"


def _letter(sign: str) -> str:
    return f"{GREEK[sign]} " if sign in GREEK else sign
