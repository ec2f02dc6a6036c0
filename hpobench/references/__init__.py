"""What a regret is measured from; the frozen ones lie here as JSON."""
