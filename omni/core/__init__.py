"""The foundation: everything here may be imported by every other part of Omni. Importing this package imports nothing."""
