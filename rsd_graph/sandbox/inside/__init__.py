"""What runs inside the sandbox: started by path, with the standard library only."""
