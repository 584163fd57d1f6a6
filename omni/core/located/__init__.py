"""Files that a person or a stranger wrote, read with the place of every value: JSON, TOML and YAML 1.2.

A reader of one form makes a `Located` (`tree.py`); `conversion.py` makes a struct of it, or says what is wrong, and
where. Each is imported by itself, so that who reads TOML needs the standard library only.
"""
