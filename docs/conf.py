"""The website made of this folder: ``make docs``."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "template" / "src" / "{{ python_package }}"
sys.path[:0] = [str(HERE), str(PACKAGE)]

project = "copier-kedro-mlflow"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "docstrings",
]
autodoc_typehints = "none"  # the table of arguments has them
myst_heading_anchors = 3
copybutton_prompt_text = "$ "  # of a console, which is not copied
copybutton_only_copy_prompt_lines = True
smartquotes = False  # which would make a dash of --env

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["tables.js"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    """Leave the decisions out of the search: a reader looks for what to do, not why."""
    app.connect("doctree-read", leave_out_decisions)


def leave_out_decisions(app: Sphinx, _: object) -> None:
    if app.env.docname.startswith("decisions/"):
        app.env.metadata[app.env.docname]["nosearch"] = ""
