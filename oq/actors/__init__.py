"""Floor 3: the actors. They talk over memory channels, and never import each other."""
