"""A measurement made readable: tables, plots, a page."""
