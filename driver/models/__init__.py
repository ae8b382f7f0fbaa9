"""Typed models of every file that crosses a boundary; driver/schemas is generated from them."""
