"""Integrations with other frameworks; every module is optional, and no package imports it."""
