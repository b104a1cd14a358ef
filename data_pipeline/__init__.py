"""Animal videos and their annotations: official files -> TFRecord shards -> batches of uint8.

    python -m data_pipeline.convert --dataset=lote_animal --source=LoTE --output=lote_tfrecord
    python -m data_pipeline.inspect lote_tfrecord

The only package of the project that uses TensorFlow, and it imports it where it is needed.
"""

import os

# TensorFlow prints start-up notes on stderr, an "error" about the GPU it does not find among them.
# They hide the errors of our own commands; TensorFlow's own are exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
