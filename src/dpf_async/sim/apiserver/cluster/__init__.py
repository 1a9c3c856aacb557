"""What the API server does to objects, without HTTP."""
