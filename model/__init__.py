"""
The probabilistic model of Kingma & Welling, *Auto-Encoding Variational Bayes* (2014).

Legend of shapes, used in every docstring of this package:

    N   examples
    D   data dimensions, the product of `data_shape`
    J   latent dimensions
    K   draws of z per example

Legend of letters: `x` is data, `z` a latent, `mu` and `log_var` the parameters of a
diagonal Gaussian, `eta` a logit, `eps` standard normal noise. `theta` are the weights
and biases of the decoder, `phi` those of the encoder. Every log density, bound and
divergence is in nats and per example.

Nothing is imported here, so that a process that only reads settings loads no torch.
"""
