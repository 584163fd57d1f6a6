"""The command line. One module for each command; importing this package imports none of them."""
