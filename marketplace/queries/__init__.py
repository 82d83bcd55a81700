"""Reads: what pages, API and tasks ask. Nothing here writes."""
