"""Animal videos and their annotations: official files -> TFRecord shards -> batches of uint8.

    animal-clip convert-videos --dataset=lote_animal --source=LoTE --output=lote_tfrecord
    animal-clip inspect lote_tfrecord

The only package of the project that uses TensorFlow, and it imports it where it is needed.
"""
