"""A sweep on the lab's own scheduler: submitted, run on its nodes, followed, cancelled."""
