"""Builders of backbones, a module each family; config/backbones.py names them.

A builder has three functions, as `networks.Builder` types them:

- `network(backbone, size)` returns the Keras model with random weights, from prepared pixels
  (n, size, size, 3) to the last map;
- `prepare(backbone, photos)` returns float32 RGB in [0, 255] as the network wants it: the
  preprocessing that its weights were trained with;
- `load_weights(network, weights)` sets the weights, from the proven file in the weights folder.

So a new backbone is a module here and an entry in `config.backbones.OTHERS`.
"""
