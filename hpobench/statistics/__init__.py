"""How certain a comparison is: bands, intervals, verdicts, times and ranks, of arrays alone."""
