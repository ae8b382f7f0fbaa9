"""Typed models of every file that crosses a boundary; the JSON Schemas in driver/schemas come from them."""
