"""Training: what it reads, costs and needs, and the loop itself."""
