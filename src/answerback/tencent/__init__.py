"""Every word of the vendor's: its callbacks, its answers, its codes. No I/O."""
