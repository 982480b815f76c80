"""Build the documentation, by `make docs`: warnings are errors, and its notebooks are executed."""

from importlib.metadata import version as version_of

project = "tarpipe-harness"
author = "the authors of tarpipe-harness"
version = release = version_of("tarpipe-harness")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinxcontrib.programoutput"]
html_theme = "furo"
html_title = "tarpipe-harness"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
exclude_patterns = ["_build", "conf.py", "picture.py", "tables.py"]
nitpicky = False
default_role = "code"  # what docstrings put between single backticks

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 60
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_merge_streams = True
