"""A language model's graph with its past inside: OpenVINO keeps keys and values between the calls of a request."""


def with_state(model, batch_size):
    """Turn each input of the past, and the output that continues it, into a state of the request.

    The batch becomes fixed; the lengths stay dynamic, so that an unset state has no positions.
    """
    from openvino import PartialShape
    from openvino._offline_transformations import apply_make_stateful_transformation

    tokens, *past = model.inputs
    shapes = {tokens.any_name: PartialShape([batch_size, -1])}
    for one in past:
        _, heads, _, size = one.partial_shape
        shapes[one.any_name] = PartialShape([batch_size, heads, -1, size])
    model.reshape(shapes)
    present = model.outputs[1:]
    pairs = {one.any_name: other.any_name for one, other in zip(past, present)}
    apply_make_stateful_transformation(model, pairs)
    return model
