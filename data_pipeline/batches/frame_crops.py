"""JPEG files -> crops of their pictures, with TensorFlow."""

from data_pipeline.tensorflow_import import tf


def decoded_crops(
    frames: tf.Tensor, is_wanted: tf.Tensor, crops: tf.Tensor, flip: tf.Tensor, size: int
) -> tf.Tensor:
    """All crops of a clip's frames, of each JPEG only what they need.

    One frame after the other, so that what is in between stays in the processor's cache.

    Args:
        frames: string (T), JPEG files.
        is_wanted: bool (T); the others are zeros.
        crops: int32 (K, 4): top, left, height, width.
        flip: bool, whether to mirror all of them.
        size: height and width of the result.

    Returns:
        uint8 (T, K, size, size, 3).
    """
    num_crops = crops.shape[0]

    def cut(jpeg):
        if num_crops == 1:
            images = [tf.io.decode_and_crop_jpeg(jpeg, crops[0], channels=3)]
        else:
            whole = tf.io.decode_jpeg(jpeg, channels=3)
            images = [
                tf.slice(whole, [top, left, 0], [height, width, 3])
                for top, left, height, width in map(tf.unstack, tf.unstack(crops))
            ]
        resized = [tf.image.resize(image, (size, size), method="bilinear") for image in images]
        rounded = tf.stack([tf.cast(tf.round(image), tf.uint8) for image in resized])
        # Rows of pixels, three numbers each, are what TensorFlow mirrors fast.
        rows = tf.reshape(rounded, (-1, size, 3))
        mirrored = tf.cond(flip, lambda: tf.reverse(rows, axis=[1]), lambda: rows)
        return tf.reshape(mirrored, (num_crops, size, size, 3))

    def one(frame):
        jpeg, wanted = frame
        nothing = tf.zeros((num_crops, size, size, 3), tf.uint8)
        return tf.cond(wanted, lambda: cut(jpeg), lambda: nothing)

    return tf.map_fn(
        one,
        (frames, is_wanted),
        parallel_iterations=1,
        fn_output_signature=tf.TensorSpec((num_crops, size, size, 3), tf.uint8),
    )
