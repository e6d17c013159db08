"""The page of the Python API says what the code says."""

from pathlib import Path

from recipes.describe_api import page


def test_the_page_of_the_python_api_is_current():
    """If not: python recipes/describe_api.py > docs/api.md"""
    written = Path(__file__).parents[1].joinpath("docs/api.md").read_text()
    assert page() == written, "run: python recipes/describe_api.py > docs/api.md"
