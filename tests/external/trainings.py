"""
Programs that train a VAE in another framework, each in an environment of its own.

Each is a beginning, lines of `docs/your-own-model.md` that export the networks, and an
end that saves what the networks compute there. They read `x.npy`, rows of 28 x 28
binary pixels, and `eps.npy`, noise of shape (n, K, J).
"""

TORCH = """
import numpy as np, torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
torch.set_num_threads(1)
data = torch.from_numpy(np.load("x.npy"))


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 400)
        self.fc21 = nn.Linear(400, 20)
        self.fc22 = nn.Linear(400, 20)
        self.fc3 = nn.Linear(20, 400)
        self.fc4 = nn.Linear(400, 784)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))


class ConvVAE(VAE):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(),
        )
        self.fc21, self.fc22 = nn.Linear(784, 20), nn.Linear(784, 20)
        self.up = nn.Sequential(
            nn.Linear(20, 784), nn.ReLU(), nn.Unflatten(1, (16, 7, 7)),
            nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Sigmoid(),
        )

    def encode(self, x):
        h = self.down(x)
        return self.fc21(h), self.fc22(h)

    def decode(self, z):
        return self.up(z)


class MeanVAE(VAE):
    def decode(self, z):
        return self.fc4(F.relu(self.fc3(z)))


def bce(recon_x, x):
    loss = F.binary_cross_entropy(recon_x, x, reduction="none")
    return loss.flatten(1).sum(dim=1)


def squared(recon_x, x):
    return (recon_x - x).square().flatten(1).sum(dim=1)


def train(vae, data, reconstruction):
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    for x in data.split(100):
        mu, logvar = vae.encode(x)
        recon = vae.decode(vae.reparameterize(mu, logvar))
        kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        loss = reconstruction(recon, x).sum() + kld
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return vae.eval()


@torch.no_grad()
def save(encode, decode, x, reconstruction, **modules):
    eps = torch.from_numpy(np.load("eps.npy"))
    x = x[: len(eps)]
    mu, logvar = encode(x)
    losses = 0
    for k in range(eps.shape[1]):
        z = mu + torch.exp(0.5 * logvar) * eps[:, k]
        kld = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(dim=1)
        losses = losses + (reconstruction(decode(z), x) + kld) / eps.shape[1]
    found = {"rows": x, "mu": mu, "logvar": logvar, "x_hat": decode(mu)}
    for module in modules.values():
        module.double()
    found["mu64"], found["logvar64"] = encode(x.double())
    found["x_hat64"], found["loss"] = decode(mu.double()), losses
    for name, values in found.items():
        np.save(f"{name}.npy", values.numpy())
    for module in modules.values():
        state = {k: v.float().numpy() for k, v in module.state_dict().items()}
        np.savez("weights.npz", **state)
"""

MNIST_EXAMPLE = (
    TORCH + "vae = train(VAE(), data, bce)\n",
    "save(vae.encode, vae.decode, data, bce, vae=vae)\n",
)
SQUARED_ERROR = (
    TORCH + "vae = train(MeanVAE(), data, squared)\n",
    "save(vae.encode, vae.decode, data, squared, vae=vae)\n",
)
# The lines of the documentation are for rows of 784 values.
CONVOLUTIONS = (
    TORCH
    + """
data = data.reshape(-1, 1, 28, 28)
vae = train(ConvVAE(), data, bce)
""",
    """
class Encoder(Encoder):
    def forward(self, x):
        return self.vae.encode(x)


rows = torch.zeros(2, 1, 28, 28)
export(Encoder(vae), rows, "encoder.onnx", ["x"], ["mu", "logvar"])
save(vae.encode, vae.decode, data, bce, vae=vae)
""",
)
PYTHAE = (
    TORCH
    + """
from pythae.models import VAE as Pythae, VAEConfig

model = Pythae(VAEConfig(input_dim=(1, 28, 28), latent_dim=20))
data = data.reshape(-1, 1, 28, 28)


class Trained(VAE):
    def __init__(self):
        nn.Module.__init__(self)
        self.model = model

    def encode(self, x):
        output = self.model.encoder(x)
        return output.embedding, output.log_covariance

    def decode(self, z):
        return self.model.decoder(z).reconstruction


vae = train(Trained(), data, bce)
x, z = data[:2], torch.zeros(2, 20)
""",
    "save(vae.encode, vae.decode, data, bce, vae=model)\n",
)
KERAS = (
    """
import os

os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np, torch
from keras import layers, ops

keras.utils.set_random_seed(0)
torch.set_num_threads(1)
data = np.load("x.npy").reshape(-1, 28, 28, 1)

encoder_inputs = keras.Input(shape=(28, 28, 1))
x = layers.Conv2D(8, 3, activation="relu", strides=2, padding="same")(encoder_inputs)
x = layers.BatchNormalization()(x)
x = layers.Conv2D(16, 3, activation="relu", strides=2, padding="same")(x)
x = layers.Flatten()(x)
z_mean = layers.Dense(20, name="z_mean")(x)
z_log_var = layers.Dense(20, name="z_log_var")(x)

latent_inputs = keras.Input(shape=(20,))
x = layers.Dense(7 * 7 * 16, activation="relu")(latent_inputs)
x = layers.Reshape((7, 7, 16))(x)
x = layers.Conv2DTranspose(8, 3, activation="relu", strides=2, padding="same")(x)
x = layers.Conv2DTranspose(1, 3, activation="sigmoid", strides=2, padding="same")(x)
decoder = keras.Model(latent_inputs, x)
parts = keras.Model(encoder_inputs, [z_mean, z_log_var])
optimizer = keras.optimizers.Adam(1e-3)


def bce(recon, x):
    return ops.sum(keras.losses.binary_crossentropy(x, recon), axis=(1, 2))


def kld(mean, log_var):
    return -0.5 * ops.sum(1 + log_var - ops.square(mean) - ops.exp(log_var), axis=1)


weights = parts.trainable_weights + decoder.trainable_weights
for i in range(0, len(data), 100):
    rows = ops.convert_to_tensor(data[i : i + 100])
    mean, log_var = parts(rows, training=True)
    z = mean + ops.exp(0.5 * log_var) * keras.random.normal(ops.shape(mean))
    loss = ops.sum(bce(decoder(z, training=True), rows) + kld(mean, log_var))
    for weight in weights:
        weight.value.grad = None
    loss.backward()
    with torch.no_grad():
        optimizer.apply([w.value.grad for w in weights], weights)
""",
    """
eps = np.load("eps.npy")
rows = data[: len(eps)]
with torch.no_grad():
    mean, log_var = (ops.convert_to_numpy(v) for v in encoder(rows))
    losses = 0
    for k in range(eps.shape[1]):
        z = mean + np.exp(0.5 * log_var) * eps[:, k]
        one = bce(decoder(z), ops.convert_to_tensor(rows)) + kld(
            ops.convert_to_tensor(mean), ops.convert_to_tensor(log_var)
        )
        losses = losses + ops.convert_to_numpy(one) / eps.shape[1]
    x_hat = ops.convert_to_numpy(decoder(mean))
found = {"rows": rows, "mu": mean, "logvar": log_var, "x_hat": x_hat, "loss": losses}
for name, values in found.items():
    np.save(f"{name}.npy", values)
""",
)

JAX = (
    """
import jax, jax.numpy as jnp, numpy as np

data = np.load("x.npy")
sizes = {"1": (784, 400), "21": (400, 20), "22": (400, 20)}
sizes |= {"3": (20, 400), "4": (400, 784)}
keys = jax.random.split(jax.random.key(0), len(sizes))
params = {
    name: (jax.random.normal(key, size) / size[0] ** 0.5, jnp.zeros(size[1]))
    for (name, size), key in zip(sizes.items(), keys)
}


def layer(params, name, x):
    weight, bias = params[name]
    return x @ weight + bias


def encoded(params, x):
    h = jax.nn.relu(layer(params, "1", x))
    return layer(params, "21", h), layer(params, "22", h)


def logits(params, z):
    return layer(params, "4", jax.nn.relu(layer(params, "3", z)))


def losses(params, x, eps):
    mu, log_var = encoded(params, x)
    eta = logits(params, mu + jnp.exp(0.5 * log_var) * eps)
    bce = (jax.nn.softplus(eta) - x * eta).sum(axis=1)
    return bce - 0.5 * (1 + log_var - mu**2 - jnp.exp(log_var)).sum(axis=1)


slope = jax.jit(jax.grad(lambda *args: losses(*args).mean()))
for i in range(0, len(data), 100):
    noise = jax.random.normal(jax.random.key(i), (100, 20))
    step = slope(params, data[i : i + 100], noise)
    params = jax.tree.map(lambda p, g: p - 1e-3 * g, params, step)


def encode(x):
    return encoded(params, x)


def decode(z):
    return jax.nn.sigmoid(logits(params, z))

""",
    """
eps = np.load("eps.npy")
x = data[: len(eps)]
mu, log_var = encode(x)
loss = sum(losses(params, x, eps[:, k]) for k in range(eps.shape[1])) / eps.shape[1]
found = {"rows": x, "mu": mu, "logvar": log_var, "x_hat": decode(mu), "loss": loss}
for name, values in found.items():
    np.save(f"{name}.npy", values)
""",
)
