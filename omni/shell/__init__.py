"""The terminal shell: a Textual front end that renders what the domains say."""
