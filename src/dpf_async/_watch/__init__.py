"""List and watch that heal themselves: one faithful picture of one selection of one kind.

Reading order: policy and backoff (the numbers), versions (what is newer), machine (what to do when, pure), store (the
picture), reflector (drives the three over the wire), cursor (what one reader has not heard yet), stream (events).
"""
