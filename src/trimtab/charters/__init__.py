"""Charters: from the YAML that people write to the record, every mistake named with its line."""

from trimtab.charters.load import load_charter

__all__ = ["load_charter"]
