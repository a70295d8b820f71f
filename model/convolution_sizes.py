"""The sizes of images inside a convolutional network."""


def conv_grid(data_shape: tuple[int, ...], n_halvings: int) -> tuple[int, int]:
    """
    Return height and width of an image after `n_halvings` halvings, rounded down.

    Raises:
        ValueError: The data are not images, or are too small for that many halvings.
    """
    if len(data_shape) < 2:
        raise ValueError(
            "a conv network needs image data of shape (H, W) or (H, W, C), "
            f"got {data_shape}"
        )
    height, width = data_shape[0] >> n_halvings, data_shape[1] >> n_halvings
    if height < 1 or width < 1:
        raise ValueError(
            f"an image of {data_shape[0]}x{data_shape[1]} cannot be halved "
            f"{n_halvings} times; give fewer channels"
        )
    return height, width
