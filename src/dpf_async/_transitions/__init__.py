"""What the pictures mean: views, levels to wait for, and transitions between what a reader was told and what is true.

Reading order: view (what is true of a DPU and of a node), levels (questions asked of views), transitions and derive
(what changed between two views), hub (who waits for what), site (joins the pictures of the kinds). No I/O anywhere.
"""
