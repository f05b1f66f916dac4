"""Floor 0: the words that every other part of oq speaks. Nothing here does I/O."""
