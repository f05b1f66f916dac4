"""oq beside its peers: `python -m bench.peers` installs them, runs all sides in turns, compares."""
