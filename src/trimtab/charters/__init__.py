"""Charters: from the YAML that people write to the record, every mistake named with its line."""

from trimtab.charters.load import load_charter, where_of_check

__all__ = ["load_charter", "where_of_check"]
