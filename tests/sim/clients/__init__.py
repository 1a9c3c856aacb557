"""Other people's clients on the simulated site, each as a program: they list, watch, patch and delete a DPU."""
