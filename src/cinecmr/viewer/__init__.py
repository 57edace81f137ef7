"""A page on this computer: the report of one analysis, and its contours corrected by hand."""
