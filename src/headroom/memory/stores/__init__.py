"""Stores: what keeps memories, and finds candidates for a recall."""
