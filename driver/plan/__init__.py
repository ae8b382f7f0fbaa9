"""From a request to a planned job. Pure: no file is read, no clock asked."""
