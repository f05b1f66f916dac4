"""Saving what can be read of a damaged store, for the faces, which do not know the store."""

from oq.store.report import Finding, SalvageReport
from oq.store.salvage import salvage

__all__ = ["Finding", "SalvageReport", "salvage"]
