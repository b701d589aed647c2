"""Which cohorts of a parent version a new version takes over, and why the others stay.

Pure: cohorts in, decisions out. Preview and deployment both call this package, so they cannot
differ.
"""
