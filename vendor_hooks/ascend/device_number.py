"""Which number the selected device has for the process that runs a stage."""

#: In a container, the only device is number 0.
IN_CONTAINERS = ("docker", "apptainer")


def device_number(job):
    """The device's number for pyACL, torch_npu and ONNX Runtime: 0 in a container, else DEVICE."""
    if job.document["job"]["runner"] in IN_CONTAINERS:
        return 0
    return int(job.device.split(",")[0])
