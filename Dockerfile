# Two images from one file. The last stage is the default:
#   docker build --tag vae-service .                        serves, runtime packages only
#   docker build --target train --tag vae-service-train .   trains, into a volume
#
# TORCH_INDEX_URL is where pip looks for torch besides its own index. The default has the
# small build for CPUs; for CUDA say .../whl/cu130; empty leaves pip to its own index.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS builder
# For `strip` below. Where Debian's packages cannot be reached, the image is the larger.
# hadolint ignore=DL3008
RUN { apt-get update && apt-get install --yes --no-install-recommends binutils \
      && rm -rf /var/lib/apt/lists/*; } || echo 'No binutils: 100 MB of symbols stay.'
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
WORKDIR /src
# Without pip: the environment is filled from outside, and the image has no use for one.
RUN python -m venv --without-pip /opt/venv
# Only what decides the packages, so that a change of the sources leaves them cached. The
# metadata name a readme; an empty one will do here.
COPY pyproject.toml constraints.txt LICENSE NOTICE ./
RUN touch README.md && python -m pip --python /opt/venv/bin/python install \
      --no-cache-dir --no-compile --constraint constraints.txt \
      ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} .
# What only builds or tests extensions of torch: headers, CMake files, static libraries,
# test programs (it takes a compiler to use them, and the image has none), the packages'
# own tests, and the symbols that only a debugger reads. `import torch` insists on
# torch_shm_manager. Of 880 MB 560 stay; the import that ends the next stage proves them.
WORKDIR /opt/venv/lib
RUN rm -rf python3*/site-packages/torch/include python3*/site-packages/torch/share \
      python3*/site-packages/torch/test python3*/site-packages/torch/lib/*.a \
    && find python3*/site-packages/torch/bin -type f ! -name torch_shm_manager -delete \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && if command -v strip; then \
         find python3*/site-packages/torch/lib -name 'lib*.so*' -type f \
           -exec strip --strip-unneeded {} +; \
       fi


FROM ${BASE_IMAGE} AS runtime
# PYTHONPATH is for the console scripts, such as vae-serve.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/vae \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1
# A new named volume takes owner and mode from the directory it is mounted on.
RUN groupadd --gid 10001 vae \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent vae \
    && install --directory --owner 10001 --group 10001 /checkpoints
COPY --from=builder /opt/venv /opt/venv
WORKDIR /opt/vae
COPY model/ model/
COPY app/ app/
COPY released/ released/
COPY LICENSE NOTICE ./
# The root file system is read-only later, so bytecode is written now, and only of modules
# that the service imports: 20 MB instead of 150, and it starts in half the time.
RUN chmod -R a+rX . && PYTHONDONTWRITEBYTECODE='' python -c 'import app.main'


FROM runtime AS train
COPY pyproject.toml constraints.txt LICENSE NOTICE /src/
# The base image's Python has pip, the environment's has not.
RUN touch /src/README.md && PATH=${PATH#/opt/venv/bin:} \
    python -m pip --python /opt/venv/bin/python install \
      --no-cache-dir --no-compile --constraint /src/constraints.txt '/src[train]' \
    && find /opt/venv -type d -name tests -prune -exec rm -rf {} + \
    && PYTHONDONTWRITEBYTECODE='' python -c 'import model.train.__main__'
# matplotlib keeps its font cache there; there is no home directory.
ENV MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
CMD ["python", "-m", "model.train", "--data", "digits", "--out", "/checkpoints/digits"]


FROM runtime AS service
ENV VAE_CHECKPOINT=/opt/vae/released/mnist \
    VAE_HOST=0.0.0.0 \
    VAE_PORT=8000
USER 10001:10001
EXPOSE 8000
# http.client and not urllib, which would obey a proxy variable even for this address.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('localhost', int(os.environ['VAE_PORT']), timeout=2); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "app"]
