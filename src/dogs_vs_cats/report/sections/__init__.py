"""The sections of the page, a module each, in the order of the template."""
