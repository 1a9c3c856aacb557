"""Change images and configuration of a deployment and upgrade its hosts."""
