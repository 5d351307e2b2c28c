"""Sphinx's settings for the site. `build.py` beside this file makes the pages, and calls Sphinx."""

from docutils import nodes
from latex2mathml.converter import convert

import minigrad

project = "minigrad"
author = "the authors of minigrad"
version = release = minigrad.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
root_doc = "index"

html_theme = "furo"
html_title = f"minigrad {version}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

nb_execution_mode = "off"  # the notebooks hold their outputs
nb_render_markdown_format = "commonmark"
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
myst_dmath_double_inline = True
html_math_renderer = "mathml"  # browsers draw it by themselves: no script from elsewhere
suppress_warnings = [
    "myst.header",  # a page may begin with a table or skip a level
    "mystnb.unknown_mime_type",
]

autoclass_content = "both"  # the class and its arguments
autodoc_inherit_docstrings = False  # only what a class itself says
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False
toc_object_entries = False


def as_it_stands(app, what, name, obj, options, lines):
    """Docstrings are plain text with equations in columns: they are shown as they are written."""
    while lines and not lines[-1].strip():
        lines.pop()
    if lines:
        lines[:] = [".. code-block:: none", "", *("   " + line for line in lines), ""]


def inline_math(self, node):
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def display_math(self, node):
    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    app.connect("autodoc-process-docstring", as_it_stands)
