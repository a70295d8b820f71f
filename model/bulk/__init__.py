"""
Bulk work without HTTP: encode, decode, sample and score whole files of rows.

Results have the bits of the service's, for the same checkpoint, seed and backend,
however the rows are cut.
"""
