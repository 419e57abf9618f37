"""The action codec is exact both ways, the grammar accepts exactly the codec's texts, and bad text is a named error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.actions import ACTION_SPACES, CRAFTER, MINERL, NOOP, Action, ActionGrammar, ActionSpace, Camera
from rig.errors import ActionError, UnknownNameError


def actions_of(space: ActionSpace) -> st.SearchStrategy[Action]:
    keys = st.frozensets(st.sampled_from(space.keys), max_size=1 if space.exclusive else 6)
    angle = st.sampled_from(list(space.camera.angles())) if space.camera else st.just(0)
    return st.builds(lambda pressed, camera: Action(keys=pressed, camera=camera), keys, st.tuples(angle, angle))


@pytest.mark.parametrize("space", [MINERL, CRAFTER], ids=lambda space: space.name)
def test_format_then_parse_is_the_identity_and_the_grammar_accepts(space):
    grammar = ActionGrammar(space)

    @given(actions_of(space))
    def check(action):
        text = space.format(action)
        assert space.parse(text) == action
        assert grammar.is_action(text)

    check()


@given(st.text(alphabet="forwadlefthink,:[]-0123456789 .", max_size=24))
def test_grammar_and_parser_agree_on_arbitrary_text(text):
    try:
        MINERL.parse(text)
        legal = True
    except ActionError:
        legal = False
    assert ActionGrammar(MINERL).is_action(text) == legal


def test_known_texts():
    assert MINERL.format(Action.press("sprint", "forward", camera=(0, 10))) == "forward, sprint, camera:[0,10]"
    assert MINERL.parse("noop") == NOOP
    assert CRAFTER.parse("place_stone") == Action.press("place_stone")


@pytest.mark.parametrize(
    ("space", "text", "message"),
    [
        (MINERL, "forwards", "Did you mean 'forward'"),
        (MINERL, "", "not a key"),
        (MINERL, "sprint, forward", "canonical"),
        (MINERL, "forward, forward", "canonical"),
        (MINERL, "camera:[0,0]", "canonical"),
        (MINERL, "noop, forward", "not a key"),
        (MINERL, "camera:[0,7]", "off the grid"),
        (MINERL, "camera:[00,5]", "not a key"),
        (CRAFTER, "move_left, use", "one key a step"),
        (CRAFTER, "camera:[0,5]", "no camera"),
        (CRAFTER, "do", "not a key"),
    ],
)
def test_malformed_text_is_a_named_error(space, text, message):
    with pytest.raises(ActionError, match=message):
        space.parse(text)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (Action(camera=(5.0, 10.0)), "camera (5.0, 10.0) is no pair of whole degrees"),
        (Action(camera=(True, 0)), "camera (True, 0) is no pair"),
        (Action(camera=(5,)), "camera (5,) is no pair"),
        (Action(camera=[5, 5]), "camera [5, 5] is no pair"),
        (Action(camera=(0.0, 0.0)), "camera (0.0, 0.0) is no pair"),
        (Action(camera=None), "camera None is no pair"),
        (Action(camera=(10**400, 0)), "is off the grid"),
        (Action(keys=["forward"]), "the keys ['forward'] are no set of names"),
        (Action(keys="forward"), "the keys 'forward' are no set of names"),
        (Action(keys=frozenset({3})), "are no set of names"),
        ("forward", "'forward' is no Action"),
        (None, "None is no Action"),
    ],
)
def test_an_action_has_its_own_types(action, says):
    for use in (MINERL.check, MINERL.format):
        with pytest.raises(ActionError) as error:
            use(action)
        assert says in str(error.value)
    MINERL.check(Action(camera=(np.int64(5), np.int32(-10))))


def test_grammar_never_allows_more_than_the_space():
    grammar = ActionGrammar(CRAFTER)
    assert grammar.advance(grammar.start, "use, ") is None
    space = ActionSpace(name="tiny", keys=("a", "ab", "b"), camera=Camera(step=90, limit=90))
    tiny = ActionGrammar(space)
    assert tiny.is_action("a, ab, b, camera:[90,-90]")
    assert not tiny.is_action("b, a")
    assert not tiny.is_action("a, ")


def test_quantise_rounds_and_clips():
    assert MINERL.quantise(frozenset(), (2.4, -177.6)).camera == (0, -180)
    assert MINERL.quantise(frozenset(), (500, -7.6)).camera == (180, -10)


def test_bad_spaces_and_names():
    with pytest.raises(ActionError, match="twice"):
        ActionSpace(name="x", keys=("a", "a"))
    with pytest.raises(ActionError, match="cannot be a key"):
        ActionSpace(name="x", keys=("noop",))
    for camera in ({"step": 0}, {"limit": -1}, {"step": 2.5}, {"limit": 10**9}):
        with pytest.raises(ActionError, match=f"Camera.{next(iter(camera))} is"):
            Camera(**camera)
    for changes in ({"name": ""}, {"keys": [3]}, {"exclusive": 1}, {"camera": 5}):
        with pytest.raises(ActionError, match=f"ActionSpace.{next(iter(changes))} is"):
            ActionSpace(**{"name": "x", "keys": ("a",), **changes})
    with pytest.raises(UnknownNameError, match="Did you mean 'minerl'"):
        ACTION_SPACES.get("minrl")
