"""Methods of forecasting and their scores, behind `forecast`."""
