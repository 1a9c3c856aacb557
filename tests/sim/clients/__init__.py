"""Other Kubernetes client libraries, each as a program: they list, watch, patch and delete a DPU."""
