"""What a DPUDeployment creates and how a DPUSet rolls changes out."""
