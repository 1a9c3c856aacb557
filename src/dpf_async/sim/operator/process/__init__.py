"""The simulated operator as a process, and the protocol that controls it."""
