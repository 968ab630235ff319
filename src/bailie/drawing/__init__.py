"""Pipelines as pictures: in a terminal, as SVG, as Mermaid's text.

::

    Pipeline ──picture_of──► GraphPicture ──scene_of──► PictureScene ──terminal──► text
                                  │       boxes, lines      places   └──svg──────► SVG
                                  └──mermaid, data

Everything here is pure, and takes any manifest that
can be parsed: a graph with mistakes is drawn with them.
"""
