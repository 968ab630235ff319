"""The annotation of a delivery: each word, its bounds, and the sentence for each mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.delivery.rules import (
    DAY,
    EXAMPLE,
    LONGEST,
    MORE_ERRORS,
    DeliveryRules,
    DeliveryStep,
    delivery_rules,
)

STEP = (DeliveryStep(20, 60),)


def test_the_example_of_every_sentence_can_be_read():
    rules, problem = delivery_rules(EXAMPLE)
    assert problem is None
    assert rules == DeliveryRules(
        steps=(DeliveryStep(5, 300), DeliveryStep(20, 600), DeliveryStep(50, 600)), max_more_errors=0.01
    )


@pytest.mark.parametrize(
    ("words", "rules"),
    [
        ("", DeliveryRules(steps=STEP, max_more_errors=MORE_ERRORS)),
        ("max-errors=2.5%", DeliveryRules(steps=STEP, max_errors=0.025)),
        ("max-latency=1.5x", DeliveryRules(steps=STEP, max_more_errors=MORE_ERRORS, max_latency=1.5)),
        (
            "max-errors=5%  max-more-errors=1%\nrequests=7 deadline=2d",
            DeliveryRules(steps=STEP, max_errors=0.05, max_more_errors=0.01, requests=7, deadline=2 * DAY),
        ),
    ],
)
def test_words_in_any_number(words, rules):
    assert delivery_rules(f"steps=20%:1m {words}") == (rules, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no steps"),
        ("max-errors=1%", "names no steps"),
        ("steps=", "'' is no step"),
        ("steps=20%", "'20%' is no step"),
        ("steps=20:1m", "'20:1m' is no step"),
        ("steps=0%:1m", "from 1 to 99"),
        ("steps=100%:1m", "is no step"),
        ("steps=2.5%:1m", "a whole number"),
        ("steps=20%:1m,20%:1m", "above that of the step before"),
        ("steps=50%:1m,20%:1m", "above that of the step before"),
        ("steps=-5%:1m", "is no step"),
        ("steps=20%:36500d", "at most 7d"),
        ("steps=20%:0s", "above 0"),
        ("steps=20%:1y", "'1y' is no time"),
        (f"steps={','.join(f'{each}%:1m' for each in range(1, 30))}", "20 are the most"),
        ("steps=20%:1m steps=30%:1m", "names steps twice"),
        ("steps=20%:1m max-cost=1%", "known are steps, max-errors"),
        ("steps=20%:1m max-errors", "as in 1%"),
        ("steps=20%:1m max-errors=0%", "above 0%"),
        ("steps=20%:1m max-errors=51%", "at most 50%"),
        ("steps=20%:1m max-more-errors=NaN%", "at most 50%"),
        ("steps=20%:1m max-latency=1x", "from 1.1x"),
        ("steps=20%:1m max-latency=infx", "from 1.1x"),
        ("steps=20%:1m requests=0", "from 1 to"),
        ("steps=20%:1m requests=9999999", "from 1 to"),
        ("steps=20%:1m deadline=31d", "at most 30d"),
        ("steps=\uff12\uff10%:1m", "is no step"),
        ("x" * (LONGEST + 1), f"{LONGEST} are the most"),
    ],
)
def test_mistakes_are_sentences(text, words):
    rules, problem = delivery_rules(text)
    assert rules is None
    assert problem.path == "metadata.annotations[bailie.io/progressive]"
    assert words in problem.message


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_words(text):
    for each in (text, f"steps=20%:1m {text}", f"steps={text}"):
        rules, problem = delivery_rules(each)
        assert (rules is None) != (problem is None)
