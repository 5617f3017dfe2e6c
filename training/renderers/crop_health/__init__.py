"""Leaves in a field: what feeds on them, and what ails them."""
