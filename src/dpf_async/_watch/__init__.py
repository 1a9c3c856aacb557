"""List and watch: keep one cache of one selection of one kind current, and recover from failures without help.

Reading order: policy and backoff (the durations), versions (which resourceVersion is newer), machine (the state machine
that decides what to request, pure), store (the objects), reflector (runs the machine's requests and feeds the store),
cursor (what one reader has not received yet), events and stream (the events of one reader).
"""
