"""What an entered client owns: its connection, its caches, and the handles on objects."""
