"""Bridges to other frameworks; each module is optional and imports inward."""
