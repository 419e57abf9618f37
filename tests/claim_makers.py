"""Random claims of a language of thoughts, for tests."""

from hypothesis import strategies as st

from rig.annotators.claims import Claim


def any_claim(wordings, values):
    """Return a strategy for claims of every kind in `wordings`; `values` has one for each slot."""

    def claims_of(kind):
        slots = {slot for slot in values if "{" + slot + "}" in wordings[kind][0]}
        return st.fixed_dictionaries({slot: values[slot] for slot in slots}).map(lambda found: Claim.of(kind, **found))

    return st.sampled_from(sorted(wordings)).flatmap(claims_of)
