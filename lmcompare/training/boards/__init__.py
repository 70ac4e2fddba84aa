"""Where a run is shown while it trains: a file for each board, and what feeds them.

A board's package is imported where the board is asked for, and nowhere else.
"""
