"""Results in the formats of the seed documents, so that they can be pasted where those projects keep theirs.

Every function takes results and returns text; none reads or writes a file.
"""
