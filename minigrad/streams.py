"""Random streams of layers, losses, rules, optimisers and schedules: saved, and set again.

A *random stream* is all the numbers that one generator draws, one after another. Its state is the
generator's state, as `minigrad.generators` describes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

from minigrad.generators import described, is_known, is_unknown, restored, same_kind, set_to

# What to do, and how to undo it. None: it cannot fail, so nobody needs to undo it.
Action = tuple[Callable[[], Any], Callable[[], Any] | None]
SEQUENCES = (list, tuple)


class RandomStreams:
    """Layers, losses, rules, modules, optimisers and schedules have these two methods.

    They find generators in attributes, as in `self.rng = np.random.default_rng(seed)`, and in
    dicts and lists in attributes. A class that keeps a generator elsewhere, or one of another
    library, overrides both methods:

        def rng_state(self):
            return super().rng_state() | {"mine": self.generator.get_state()}

        def set_rng_state(self, state):
            own = dict(state)
            self.generator.set_state(own.pop("mine"))
            super().set_rng_state(own)
    """

    _not_searched: Collection[str] = ("_given",)  # attributes that belong to others

    def rng_state(self) -> dict[str, Any]:
        """{attribute: its generator's state, as plain data}. Most objects have {}.

        Only text, numbers, arrays, and dicts of these. TypeError for a generator of a kind that
        is not known here. Random numbers of the parts inside are in it, too.
        """
        state = _own_state(self)
        for name, part in parts_of(self):
            inside = _own_state(part) if _is_plain(part, "rng_state") else part.rng_state()
            if inside:
                state[name] = inside
        return state

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state from `rng_state`. The same numbers are then drawn again.

        Generators are set in place: two objects that share one still share it. KeyError or
        ValueError for a state that does not fit; then nothing has changed.
        """
        run(self._rng_actions(state))

    def _rng_actions(self, state: Mapping[str, Any]) -> list[Action]:
        """What `set_rng_state` is about to do, after all checks."""
        who = type(self).__name__
        if not isinstance(state, Mapping):
            raise ValueError(f"{who}: random streams are a dict, got {state!r:.60}")
        parts = dict(parts_of(self))
        own = {name: value for name, value in state.items() if name not in parts}
        actions = _own_actions(self, own)
        for name, part in parts.items():
            if _is_plain(part, "set_rng_state") and _is_plain(part, "_rng_actions"):
                actions += _own_actions(part, state.get(name, {}))
            elif name in state or part.rng_state():
                actions += prepared(part, state.get(name, {}))
        return actions

    def _parts_inside(self) -> Iterator[tuple[str, RandomStreams]]:
        """(name, part) for each part whose streams are saved with these. Layers have none."""
        return iter(())


class StreamsOfParts(RandomStreams):
    """For rules, modules, optimisers, schedules: those that they hold in attributes come along.

    The layers of a module do, too. (A rule's model is saved apart.)
    """

    _holds_layers = False

    def _parts_inside(self) -> Iterator[tuple[str, RandomStreams]]:
        for name, value in vars(self).items():
            if name in self._not_searched:
                continue
            inside = [(f"{name}/{key}", item) for key, item in _items(value)]
            for path, part in [(name, value), *inside]:
                network = callable(getattr(type(part), "leaves", None))
                if network and self._holds_layers:
                    yield from layers_of(part, f"{path}/")
                elif isinstance(part, RandomStreams) and not network:
                    yield path, part


def layers_of(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, layer) for a model and all layers inside it: "", "0", "1", "1.0", ..."""
    yield prefix[:-1], model
    inside = getattr(model, "layers", None)
    for i, layer in enumerate(inside if isinstance(inside, SEQUENCES) else ()):
        if callable(getattr(type(layer), "leaves", None)):
            yield from layers_of(layer, f"{prefix}{i}.")


def prepared(owner: RandomStreams, state: Mapping[str, Any]) -> list[Action]:
    """The actions that set the owner's streams. All that can be checked is checked here.

    Give them to `run`, alone or together with those of other objects.
    """
    if _is_plain(owner, "set_rng_state"):
        return owner._rng_actions(state)
    before = owner.rng_state()
    return [(partial(owner.set_rng_state, state), partial(owner.set_rng_state, before))]


def run(actions: list[Action]) -> None:
    """Do all of it. If one fails, those before it are undone."""
    undo: list[Callable[[], Any]] = []
    try:
        # First those that can fail: they can be undone.
        for act, back in sorted(actions, key=lambda action: action[1] is None):
            if back is not None:
                undo.append(back)
            act()
    except BaseException:
        for back in reversed(undo):
            back()
        raise


def _is_plain(owner: Any, method: str) -> bool:
    """Whether the class has this method from here, and has not overridden it."""
    return getattr(type(owner), method) is getattr(RandomStreams, method)


def parts_of(owner: RandomStreams) -> Iterator[tuple[str, RandomStreams]]:
    """All parts inside, with those inside the parts. Each object comes once."""
    seen = {id(owner)}

    def inside(whole: RandomStreams, prefix: str) -> Iterator[tuple[str, RandomStreams]]:
        for name, part in whole._parts_inside():
            if id(part) in seen:
                continue
            seen.add(id(part))
            yield prefix + name, part
            if _is_plain(part, "rng_state"):  # else it answers for what is inside it
                yield from inside(part, f"{prefix}{name}/")

    return inside(owner, "")


def _items(value: Any) -> list[tuple[str, Any]]:
    """(name, item) of a dict, a list or a tuple; [] for anything else."""
    if isinstance(value, dict):
        return [(str(key), item) for key, item in value.items()]
    if isinstance(value, SEQUENCES):
        return [(str(i), item) for i, item in enumerate(value)]
    return []


def _attributes(owner: RandomStreams) -> dict[str, Any]:
    """Attributes of the object, and generators that are attributes of its class."""
    of_class = {
        name: value
        for cls in reversed(type(owner).__mro__)
        for name, value in vars(cls).items()
        if is_known(value)
    }
    own = {name: v for name, v in vars(owner).items() if name not in owner._not_searched}
    return of_class | own


def _own_state(owner: RandomStreams) -> dict[str, Any]:
    """The states of the generators in the object's attributes, and in dicts and lists there."""
    state: dict[str, Any] = {}
    for name, value in _attributes(owner).items():
        _check_known(owner, name, value)
        if is_known(value):
            state[name] = described(value)
        inside = {}
        for key, item in _items(value):
            _check_known(owner, f"{name}[{key}]", item)
            if is_known(item):
                inside[key] = described(item)
        if inside:
            state[name] = inside
    return state


def _check_known(owner: RandomStreams, name: str, value: Any) -> None:
    """TypeError for a generator whose state cannot be read here."""
    if is_unknown(value):
        who = type(owner).__name__
        raise TypeError(
            f"{who}.{name} is a random generator, {type(value).__module__}."
            f"{type(value).__name__}, whose state {who} cannot save: override rng_state and "
            "set_rng_state in this class"
        )


def _own_actions(owner: RandomStreams, state: Mapping[str, Any]) -> list[Action]:
    """The actions for a state from `_own_state`, after all checks."""
    who = type(owner).__name__
    if not isinstance(state, Mapping):
        raise ValueError(f"{who}: random streams are a dict, got {state!r:.60}")
    attributes = _attributes(owner)
    needed = {
        name
        for name, value in attributes.items()
        if is_known(value) or any(is_known(item) for _, item in _items(value))
    }
    if missing := sorted(needed - state.keys()):
        raise KeyError(f"{who}: the random streams {missing} are missing")
    actions: list[Action] = []
    for name, given in state.items():
        if not isinstance(name, str) or not isinstance(given, Mapping):
            raise ValueError(f"{who}: {name!r} is no random stream, got {given!r:.60}")
        if isinstance(given.get("kind"), str):
            write = partial(setattr, owner, name)
            now = attributes.get(name, getattr(type(owner), name, None))
            actions.append(_set_one(now, given, write, f"{who}.{name}"))
        else:
            actions += _set_several(attributes.get(name), given, f"{who}.{name}")
    return actions


def _set_several(container: Any, state: Mapping[str, Any], where: str) -> list[Action]:
    """The actions for the generators in a dict or a list."""
    if not isinstance(container, dict | list | tuple):
        raise KeyError(f"{where}: the state is of a dict or a list of generators, here is none")
    keys = container.keys() if isinstance(container, dict) else range(len(container))
    known = {str(key): key for key in keys}
    needed = {key for key, item in _items(container) if is_known(item)}
    if missing := sorted(needed - state.keys()):
        raise KeyError(f"{where}: the random streams {missing} are missing")
    actions = []
    for key, given in state.items():
        if key not in known and not isinstance(container, dict):
            raise KeyError(f"{where} has no entry {key!r}")
        place = known.get(key, key)
        now = container[place] if key in known else None
        write = None if isinstance(container, tuple) else partial(_write, container, place)
        actions.append(_set_one(now, given, write, f"{where}[{place!r}]"))
    return actions


def _set_one(now: Any, state: Any, write: Callable[[Any], None] | None, where: str) -> Action:
    """The action for one generator: set it in place, or replace one of another kind by `write`."""
    new = restored(state, where)
    if same_kind(now, new):
        return partial(set_to, now, new), None
    if write is not None and (now is None or is_known(now) or is_unknown(now)):
        return partial(write, new), None
    raise ValueError(f"{where} is a {type(now).__name__}, the state is of a {type(new).__name__}")


def _write(container: Any, place: Any, value: Any) -> None:
    container[place] = value
