"""Views of DPF's objects, levels to wait for, and transitions between two views. Pure: no I/O.

Reading order: views (frozen states of DPUs and hosts), levels (conditions on views), transitions and derive (the
differences between two views), checkpoint (what a stream has yielded, as JSON), health and health_transitions (problems
of DPUs, with damping), node_join (joins the stores of four kinds into views of hosts), hub (notifies waits and
streams).
"""
