"""SimCLR's learning-rate rules and the recipes' names."""

import pytest

from synsight.methods import METHODS
from synsight.recipes import RECIPES, linear_rate, square_root_rate, supervised


def test_the_two_rules_of_the_paper_meet_at_its_batch_of_4096():
    assert linear_rate(4096) == pytest.approx(4.8)
    assert square_root_rate(4096) == pytest.approx(4.8)
    assert linear_rate(256) == pytest.approx(0.3)
    assert square_root_rate(256) == pytest.approx(1.2)


def test_every_recipe_bears_its_name_and_trains_a_known_method():
    for name, recipe in RECIPES.items():
        config = recipe()
        assert config.recipe == name
        assert config.method.name in METHODS
        assert config.views.count == METHODS[config.method.name].num_views
        assert config.where == "split = 'train'" and "test" not in config.monitor.where


def test_the_supervised_recipe_learns_the_column_it_is_given():
    assert supervised().label == "label"
    assert supervised("category").label == "category"
