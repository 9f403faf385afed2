"""README.md of a model folder says what repeats its run, and foreign names in it stay text."""

from dataclasses import replace

import markdown
from small_models import small_model

from synsight.models.card import model_card

LINEAGE = {
    "catalog": "parts",
    "version": 7,
    "rows": 1200,
    "ids": "abcd1234",
    "images": "feed0123",
    "seed": 5,
    "processes": 2,
    "norms": ["BatchNorm2d", "LayerNorm"],
    "step": 80,
    "code": {"synsight": "1.2", "commit": "0f0f0f"},
}


def card_of(head="labels", **settings):
    config = replace(small_model(head).config, **settings)
    return model_card(config, name="net", digest="0123456789ab")


def test_the_card_holds_what_repeats_the_run():
    card = card_of(trained_on=LINEAGE)
    assert "| Trained on | parts, version 7, images: 1200, ids abcd1234, list feed0123 |" in card
    assert "| Run | seed 5, processes: 2, norms BatchNorm2d, LayerNorm, step 80, code 1.2 0f0f0f |" in card
    assert "| Digest | 0123456789ab |" in card


def test_what_the_config_does_not_know_is_left_out():
    card = card_of(trained_on={})
    assert "Trained on |" not in card
    assert "| Run |" not in card


def test_the_card_says_how_scores_are_to_be_read():
    assert "3 labels (config.json), with probabilities that sum to 1" in card_of()
    assert "3 labels (config.json), with a probability of its own" in card_of(label_scores="sigmoid")
    assert "| Names |" not in card_of()


def test_a_hostile_catalog_name_marks_up_nothing():
    evil = "x | <script>alert(1)</script> [y](javascript:alert(1)) **b** `c`"
    shown = markdown.markdown(card_of(trained_on={**LINEAGE, "catalog": evil}), extensions=["tables"])
    assert "<script" not in shown
    assert 'href="javascript' not in shown
    assert "<code>c</code>" not in shown
    assert "<strong>b</strong>" not in shown
    assert shown.count("<td>") == 2 * shown.count("<tr>") - 2  # two cells a row but for the head
