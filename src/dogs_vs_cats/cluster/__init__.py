"""Work that is shared out to processes on one machine or many, which Ray runs."""
