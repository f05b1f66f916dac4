"""Floor 4: the actors. They talk over memory channels, and never import each other."""
