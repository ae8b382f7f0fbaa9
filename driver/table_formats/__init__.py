"""Results in the table formats of other projects, ready to paste into their documents.

Every function takes results and returns text; none reads or writes a file.
"""
