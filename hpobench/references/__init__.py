"""What a regret is measured from, and how it is made; the frozen ones lie here as JSON."""
