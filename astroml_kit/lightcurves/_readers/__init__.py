"""Readers of light curves: one for each kind of file, behind `io`."""
