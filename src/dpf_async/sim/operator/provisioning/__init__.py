"""The DPU state machine, the node effect hold and the reboot."""
