"""Saving what can be read of a damaged store, for the faces, which do not know the store."""

from oq.store.salvage import SalvageReport, salvage

__all__ = ["SalvageReport", "salvage"]
