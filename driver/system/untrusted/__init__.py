"""Files that a guest wrote, or that a disk may have damaged since: opened, parsed and verified."""
