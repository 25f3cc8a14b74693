"""Side by side with the peers, in one run: `make bench`. Ratios of interleaved pairs; never a lone absolute time."""
