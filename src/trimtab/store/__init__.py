"""Run folders: everything that a command made, whole after a kill at any moment."""

from trimtab.store.files import (
    file_hash,
    fill_folder,
    folder_hash,
    recover_folder,
    remove_folder,
    write_atomically,
)
from trimtab.store.machine import machine, versions
from trimtab.store.rows import Journal, read_json, read_jsonl, to_json, write_json, write_jsonl
from trimtab.store.run import Manifest, Run, RunRecord, read_run, start_run

__all__ = [
    "Journal",
    "Manifest",
    "Run",
    "RunRecord",
    "file_hash",
    "fill_folder",
    "folder_hash",
    "machine",
    "read_json",
    "read_jsonl",
    "read_run",
    "recover_folder",
    "remove_folder",
    "start_run",
    "to_json",
    "versions",
    "write_atomically",
    "write_json",
    "write_jsonl",
]
