"""Programs for those who maintain oq."""
