"""How certain a comparison is: intervals, verdicts, times and ranks, of arrays alone."""
