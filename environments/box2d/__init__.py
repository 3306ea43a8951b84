"""Procedural Box2D worlds."""
