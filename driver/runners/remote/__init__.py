"""Stages on the engine of another host: nothing is mounted from here, folders go and come as archives."""
