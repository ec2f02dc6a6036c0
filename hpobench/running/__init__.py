"""Running a study's cells: the clock, processes, slices of the machine, the display."""
