"""What a worker holds in its hands: the client, handles on nodes and DPUs, scopes, flows, and descriptions of a site.

Reading order: specs and build (what a site is, as objects), pictures (one reflector per selection), waiting (how a wait
goes), handles and handshakes (nodes and DPUs), client (the door), registration, setup, deletion (the requirement's
methods in full), flows (provision, reprovision: written in the public API only).
"""
