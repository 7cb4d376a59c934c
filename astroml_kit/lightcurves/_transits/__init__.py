"""The search for transits step by step, behind `transits`."""
