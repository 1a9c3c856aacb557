"""What an entered client owns: connections, shared reflectors, and the handles on objects."""
