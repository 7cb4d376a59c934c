"""Power on grids of frequencies and the decision among peaks, behind `periods`."""
