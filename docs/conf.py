"""The site: Sphinx with MyST and furo, and a gallery that is run when it is built."""

import os
import sys
from pathlib import Path
from types import ModuleType

os.environ["MPLBACKEND"] = "agg"
DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "scripts"), str(DOCS.parent)]  # drawing.py, recipes

from costs import costs  # noqa: E402
from docutils import nodes  # noqa: E402

import mixmodal  # noqa: E402

for name, module in vars(mixmodal).items():  # mm.meshes is documented under the name that one writes
    if name in mixmodal.__all__ and isinstance(module, ModuleType):
        sys.modules[f"mixmodal.{name}"] = module

project = "mixmodal"
author = "The mixmodal developers"
copyright = author
release = version = mixmodal.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # formulas are read without a network
    "matplotlib.sphinxext.plot_directive",
]
exclude_patterns = ["_build", "gallery/*.rst"]

html_theme = "furo"
html_title = f"mixmodal {version}"
html_favicon = "_static/favicon.svg"
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "substitution"]
myst_heading_anchors = 3
myst_html_meta = {
    "description": "Mixed-sample data augmentation for PyTorch in any modality and any rank: MixUp, CutMix, FMix, "
    "PatchUp and others on images, audio, text, voxels and point clouds, in Lightning, the Hugging Face Trainer, timm "
    "and MONAI.",
}
myst_substitutions = costs()

default_role = "py:obj"  # a link where a name is documented, code elsewhere
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]

# The copies under inventories/ hold what our signatures name and serve where there is no network; transformers, whose
# site is not made with Sphinx, has only that.
SITES = {
    "python": "https://docs.python.org/3",
    "torch": "https://docs.pytorch.org/docs/stable",
    "torchaudio": "https://docs.pytorch.org/audio/stable",
    "transformers": "https://huggingface.co/docs/transformers/main/en",
}
intersphinx_mapping = {
    name: (url, (*(() if name == "transformers" else (None,)), str(DOCS / "inventories" / f"{name}.inv")))
    for name, url in SITES.items()
}
intersphinx_timeout = 10

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": None,
    "download_all_examples": False,
    "show_signature": False,
    "capture_repr": ("_repr_html_",),  # sounds; pages print the rest
    "remove_config_comments": True,
    "abort_on_example_error": True,
}

plot_formats = [("png", 150)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = False


def plain_stars(app, what, name, obj, options, lines):  # noqa: ARG001
    """Shapes like (B, *grid) in docstrings are not emphasis."""
    for place, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[place] = "`".join(
                part if code % 2 else part.replace("*", r"\*") for code, part in enumerate(line.split("`"))
            )


def public_names(app, what, name, obj, options, signature, result):  # noqa: ARG001
    """Types by the names under which torch documents them."""
    names = {"torch._C": "torch", "torch.nn.modules.module": "torch.nn", "torch.utils.data.sampler": "torch.utils.data"}
    for private, public in names.items():
        signature = signature and signature.replace(private, public)
        result = result and result.replace(private, public)
    return signature, result


def library_name(app, env, node, content):
    """Links to `PatchUp` from the page of any module."""
    target = f"mixmodal.{node['reftarget']}"
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, content)


def fold_drawing(app, doctree):
    """On a page of the gallery, code that draws is one line to open; its picture is there."""
    if not app.env.docname.startswith("auto_gallery/"):
        return
    for code in list(doctree.findall(nodes.literal_block)):
        if "plt." in code.astext():
            opened = nodes.raw("", "<details class='drawing'><summary>How it is drawn</summary>", format="html")
            place = code.parent.index(code)
            code.parent[place : place + 1] = [opened, code, nodes.raw("", "</details>", format="html")]


def setup(app):
    """Say to Sphinx when to call them."""
    app.connect("autodoc-process-docstring", plain_stars, priority=900)
    app.connect("autodoc-process-signature", public_names)
    app.connect("missing-reference", library_name, priority=900)
    app.connect("doctree-read", fold_drawing)
