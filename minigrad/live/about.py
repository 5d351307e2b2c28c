"""What the page says of each rule: its equation, what it needs, its lesson, where it comes from."""

from __future__ import annotations

from typing import Any, NamedTuple

from minigrad.compare.rules import RULES


class About(NamedTuple):
    """A rule in short sentences.

    equation   one or two lines; `symbols` says what its letters are
    backward   whether it needs a backward pass
    transport  whether it needs the weights W a second time, transposed, to send errors down
    labels     where it needs the labels
    cost       the work of a step in forward passes, as `rule.cost`: "1 + 2 K". `letters` says what
               the letters of the cost are
    watch      what one should watch for in a race
    lesson     the lesson's name. `taught`: whether the lesson trains with this rule, or one near it
    """

    equation: str
    symbols: str
    backward: str
    transport: str
    labels: str
    cost: str
    watch: str
    lesson: str
    source: str
    letters: str = ""
    taught: bool = True


NETWORK = "h_l = f(z_l), z_l = h_{l-1} W_l: layer l; δ_l = ∂L/∂z_l"
DIRECTIONS = "K: the number of directions"
MODULES = "m: the work of the modules"
LOSS_LABELS = "Labels: in the loss alone."

ABOUT: dict[str, About] = {
    "backprop": About(
        equation="δ_l = (δ_{l+1} W_{l+1}ᵀ) f'(z_l)\ndW_l = h_{l-1}ᵀ δ_l",
        symbols=NETWORK,
        backward="Backward pass: one, from the top to the bottom.",
        transport="Weight transport: yes, it sends errors down through Wᵀ.",
        labels=LOSS_LABELS,
        cost="3",
        watch=(
            "It is the true gradient of the batch, so its cosine is 1. All others are measured "
            "by it."
        ),
        lesson="01_gradients_by_hand",
        source="Linnainmaa 1970; Rumelhart, Hinton, Williams 1986",
    ),
    "well-tempered": About(
        equation="dŴ = min(1, ρ) dW\nρ = |mean of dW| / (its standard error)",
        symbols="dW: the gradient by backprop; ρ: its signal-to-noise ratio, for each weight",
        backward="Backward pass: one, as in backprop.",
        transport="Weight transport: yes, as in backprop.",
        labels=LOSS_LABELS,
        cost="3",
        watch=(
            "It keeps a mean and a variance for each weight. Where noise is larger than the "
            "mean, the step gets shorter."
        ),
        lesson="08_well_tempered",
        source="ansuini/WellTemperedSGD, 2018 and 2019",
    ),
    "cdni": About(
        equation="dĥ_l = M_l(h_l, label)\ndŴ_l = (∂h_l/∂W_l)ᵀ dĥ_l",
        symbols="h_l: the output of block l; M_l: a small module that predicts ∂L/∂h_l",
        backward="Backward pass: none through the whole network. A block goes back through itself.",
        transport="Weight transport: yes, but over one block only, to teach the module below.",
        labels="Labels: in the loss, and each module gets them.",
        cost="1 + 2 p + m",
        letters=f"p: how often a block moves; {MODULES}",
        watch=(
            "A block need not wait for those above. The modules start at 0, so the lower layers "
            "start late."
        ),
        lesson="09_synthetic_gradients",
        source="Jaderberg et al. 2016; Czarnecki et al. 2017",
    ),
    "dni": About(
        equation="dĥ_l = M_l(h_l)\ndŴ_l = (∂h_l/∂W_l)ᵀ dĥ_l",
        symbols="h_l: the output of block l; M_l: a small module that predicts ∂L/∂h_l",
        backward="Backward pass: none through the whole network. A block goes back through itself.",
        transport="Weight transport: yes, but over one block only, to teach the module below.",
        labels=LOSS_LABELS,
        cost="1 + 2 p + m",
        letters=f"p: how often a block moves; {MODULES}",
        watch="The modules do not get the label. They must guess from h what the error will be.",
        lesson="09_synthetic_gradients",
        source="Jaderberg et al. 2016; Czarnecki et al. 2017",
    ),
    "fa": About(
        equation="δ_l = (δ_{l+1} B_{l+1}ᵀ) f'(z_l)\ndŴ_l = h_{l-1}ᵀ δ_l",
        symbols=f"{NETWORK}; B_l: random, of the shape of W_l, never changed",
        backward="Backward pass: one, through random matrices.",
        transport="Weight transport: no, B stands in the place of W.",
        labels=LOSS_LABELS,
        cost="3",
        watch="The cosine of the lower layer: W comes to align with B.",
        lesson="13_without_weight_transport",
        source="Lillicrap, Cownden, Tweed, Akerman 2016",
    ),
    "dfa": About(
        equation="δ_l = (e B_l) f'(z_l)\ndŴ_l = h_{l-1}ᵀ δ_l",
        symbols="e = ∂L/∂y at the output; B_l: random, from the output to layer l, never changed",
        backward="Backward pass: none. The error goes straight to each layer.",
        transport="Weight transport: no.",
        labels=LOSS_LABELS,
        cost="2",
        watch="No layer waits for the one above. With one hidden layer it is feedback alignment.",
        lesson="13_without_weight_transport",
        source="Nøkland 2016",
    ),
    "drtp": About(
        equation="δ_l = (y* B_l)/N f'(z_l)\ndŴ_l = h_{l-1}ᵀ δ_l",
        symbols="y*: the labels as one-hot rows, N examples; B_l: random, never changed",
        backward="Backward pass: none.",
        transport="Weight transport: no.",
        labels="Labels: in the loss, and at each hidden layer, in the place of the error.",
        cost="2",
        watch="Hidden layers are pushed on, however right the answer is: they never see an error.",
        lesson="13_without_weight_transport",
        source="Frenkel, Lefebvre, Bol 2021",
    ),
    "sign": About(
        equation="δ_l = (δ_{l+1} B_{l+1}ᵀ) f'(z_l),  B = s sign(W)\ndŴ_l = h_{l-1}ᵀ δ_l",
        symbols=f"{NETWORK}; s: one number for each layer",
        backward="Backward pass: one, through the signs of the weights.",
        transport="Weight transport: the signs of W alone.",
        labels=LOSS_LABELS,
        cost="3",
        watch="Its cosine with backprop, although it knows no size of any weight.",
        lesson="13_without_weight_transport",
        source="Liao, Leibo, Poggio 2016; Moskovitz, Litwin-Kumar, Abbott 2018",
    ),
    "local": About(
        equation="dŴ_l = ∂L_l/∂W_l\nL_l: a loss of h_l by a small head",
        symbols="h_l: the output of block l; the head has weights of its own, which learn, too",
        backward="Backward pass: none through the whole network. A block goes back through itself.",
        transport="Weight transport: from its own head only.",
        labels="Labels: in the loss of each block.",
        cost="2 + 3 h",
        letters="h: the heads' weights, over the network's",
        watch="A low cosine need not be bad: it goes down another hill.",
        lesson="14_side_by_side",
        source="Nøkland, Eidnes 2019",
    ),
    "ff": About(
        equation="dŴ_l = ∂L_l/∂W_l,  L_l = -½ ln σ(s⁺) - ½ ln σ(-s⁻)\ns = (mean of h_l² - θ)/T",
        symbols="s⁺, s⁻: for x with a right, a wrong label written into it; θ, T: two constants",
        backward="Backward pass: none. No gradient goes from layer to layer.",
        transport="Weight transport: no.",
        labels="Labels: written into the input, a right one and a wrong one.",
        cost="4",
        watch=(
            "Its loss is the sum of the layers' own losses: do not compare it with the others'. "
            "It answers by trying each label."
        ),
        lesson="14_side_by_side",
        source="Hinton 2022",
        taught=False,
    ),
    "pc": About(
        equation="E = Σ_l ½ |μ_l - f_l(μ_{l-1})|² + L, small in μ\nthen dŴ = ∂E/∂W",
        symbols=(
            "μ_l: the activities of layer l, which settle in 50 small steps; f_l: what layer l "
            "predicts"
        ),
        backward="Backward pass: none. Neighbours exchange errors until they agree.",
        transport="Weight transport: yes, between neighbours.",
        labels=LOSS_LABELS,
        cost="152",
        watch="Its cosine is high, and so is its price: choose forward passes as the axis.",
        lesson="01_gradients_by_hand",
        source="Whittington, Bogacz 2017; Millidge et al. 2022",
        taught=False,
    ),
    "forward": About(
        equation="dŴ = 1/K Σ_k d_k v_k\nd_k = ⟨∇L, v_k⟩",
        symbols="v_k: random directions for all weights; d_k: the slope along v_k, by a jvp",
        backward="Backward pass: none.",
        transport="Weight transport: no.",
        labels=LOSS_LABELS,
        cost="1 + 2 K",
        letters=DIRECTIONS,
        watch=(
            "Right on average, but noisy: the more weights, the smaller its cosine and the "
            "smaller lr must be."
        ),
        lesson="11_forward_gradients",
        source="Baydin et al. 2022",
    ),
    "activities": About(
        equation="dz_n = 1/K Σ_k d_nk ε_nk,  d_nk = ⟨∂L_n/∂z_n, ε_nk⟩\ndŴ = J_Wᵀ dz",
        symbols="z_n: what all layers put out for example n; ε_nk: random noise on it; J_W = ∂z/∂W",
        backward="Backward pass: none. No gradient goes from layer to layer.",
        transport="Weight transport: no.",
        labels=LOSS_LABELS,
        cost="2 + K",
        letters=DIRECTIONS,
        watch="There are fewer units than weights: it is less noisy than noise on weights.",
        lesson="12_forward_networks",
        source="Ren et al. 2023",
    ),
    "guided": About(
        equation="dŴ = ⟨∇L, u⟩ u / |u|²",
        symbols="u: what synthetic gradients propose; ⟨∇L, u⟩: the slope along u, by a jvp",
        backward="Backward pass: none through the whole network, as in DNI.",
        transport="Weight transport: yes, but over one block only, as in DNI.",
        labels="Labels: in the loss, and each module gets them.",
        cost="6 + m",
        letters=MODULES,
        watch="It never points uphill. How good it is depends on the guess u alone.",
        lesson="11_forward_gradients",
        source="Fournier et al. 2023",
    ),
    "differences": About(
        equation="dŴ = 1/K Σ_k d_k v_k\nd_k = (L(θ + εv_k) - L(θ - εv_k)) / 2ε",
        symbols="v_k: random directions for all weights θ; ε: a small number",
        backward="Backward pass: none.",
        transport="Weight transport: no.",
        labels=LOSS_LABELS,
        cost="2 K",
        letters=DIRECTIONS,
        watch=(
            "Its curve is nearly that of the forward gradient: same directions, slopes by "
            "subtraction."
        ),
        lesson="11_forward_gradients",
        source="Baydin et al. 2022 for the directions; a central difference for the slope",
    ),
    "spsa": About(
        equation="dŴ = 1/K Σ_k (L(θ + εv_k) - L(θ - εv_k)) / 2ε · v_k",
        symbols="v_k: random directions of ±1 for all weights θ; ε: a small number",
        backward="Backward pass: none. It sees the loss alone.",
        transport="Weight transport: no.",
        labels=LOSS_LABELS,
        cost="2 K",
        letters=DIRECTIONS,
        watch=(
            "It keeps no direction in memory, only a seed. Its noise is that of a forward gradient."
        ),
        lesson="14_side_by_side",
        source="Spall 1992; Malladi et al. 2023",
    ),
    "es": About(
        equation="dŴ = 1/(Pσ) Σ_i w_i v_i\nw_i: the rank of L(θ + σv_i) among P, from -½ to ½",
        symbols=(
            "v_i: P = 20 K random directions for all weights θ, in pairs v, -v; σ: a small number"
        ),
        backward="Backward pass: none. It sees the loss alone.",
        transport="Weight transport: no.",
        labels=LOSS_LABELS,
        cost="20 K",
        letters="K = 1: 20 directions",
        watch="Ranks have no size: lr must be chosen anew for it.",
        lesson="14_side_by_side",
        source="Salimans et al. 2017; Wierstra et al. 2014",
        taught=False,
    ),
    "top-layer": About(
        equation="dŴ_L = dW_L\ndŴ_l = 0, l < L",
        symbols="dW: the gradient by backprop; L: the last layer",
        backward="Backward pass: through the last layer only.",
        transport="Weight transport: no, nothing goes down.",
        labels=LOSS_LABELS,
        cost="1 + 2 t",
        letters="t: the last layer's share of the weights",
        watch="The hidden layers stay random. A rule that trains them should do better than this.",
        lesson="09_synthetic_gradients",
        source="Jaderberg et al. 2016, “no backprop”",
    ),
}


def about(name: str) -> dict[str, Any]:
    """What the page gets of a rule: plain data for JSON."""
    entry = ABOUT[name]
    letters = f" ({entry.letters})" if entry.letters else ""
    passes = f"Forward passes: a step is the work of {entry.cost} forward passes{letters}."
    number = entry.lesson[:2]
    near = "" if entry.taught else "a rule near it: "
    return {
        "name": name,
        "title": RULES[name].title,
        "equation": entry.equation,
        "symbols": entry.symbols,
        "needs": [entry.backward, entry.transport, entry.labels, passes],
        "watch": entry.watch,
        "lesson": f"{near}lesson {number}: minigrad run {number}",
        "lesson_file": f"lessons/{entry.lesson}.py",
        "source": entry.source,
    }
