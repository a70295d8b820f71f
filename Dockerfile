# Two images from one file. The last stage is the default:
#   docker build --tag vae-service .                        serves, runtime packages only
#   docker build --target train --tag vae-service-train .   trains, into a volume
# docs/containers.md shows how to run them.
#
# TORCH_INDEX_URL is where pip looks for torch besides its own index. The default has the
# small build for CPUs; for CUDA say .../whl/cu130; empty leaves pip to its own index.
# EXTRAS are optional dependencies of the service, such as otel.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS builder
# For `strip` below. Where Debian's packages cannot be reached, the image is the larger.
# hadolint ignore=DL3008
RUN { apt-get update && apt-get install --yes --no-install-recommends binutils \
      && rm -rf /var/lib/apt/lists/*; } || echo 'No binutils: 100 MB of symbols stay.'
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
ARG EXTRAS=
WORKDIR /src
# Without pip: the environment is filled from outside, and the image has no use for one.
RUN python -m venv --without-pip /opt/venv
# Only what decides the packages, so that a change of the sources leaves them cached. The
# metadata name a readme; an empty one will do here.
COPY pyproject.toml constraints.txt LICENSE NOTICE ./
RUN touch README.md && python -m pip --python /opt/venv/bin/python install \
      --no-cache-dir --no-compile --constraint constraints.txt \
      ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} ".${EXTRAS:+[$EXTRAS]}"
WORKDIR /opt/venv/lib
# pip takes the build with CUDA of its own index where the one for CPUs is not reached.
RUN case "$TORCH_INDEX_URL" in */cpu) \
      grep --quiet '^cuda.*= None$' python3*/site-packages/torch/version.py || { \
        echo "error: expected torch for CPUs from $TORCH_INDEX_URL, got a build with" \
          "CUDA; is the index reached? --build-arg TORCH_INDEX_URL= takes that build" >&2; \
        exit 1; } ;; esac
# What only builds or tests extensions of torch: headers, CMake files, static libraries,
# test programs (it takes a compiler to use them, and the image has none), the packages'
# own tests, and the symbols that only a debugger reads. `import torch` insists on
# torch_shm_manager.
RUN rm -rf python3*/site-packages/torch/include python3*/site-packages/torch/share \
      python3*/site-packages/torch/test python3*/site-packages/torch/lib/*.a \
      python3*/site-packages/onnx/backend/test \
    && find python3*/site-packages/torch/bin -type f ! -name torch_shm_manager -delete \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && if command -v strip; then \
         find python3*/site-packages/torch/lib -name 'lib*.so*' -type f \
           -exec strip --strip-unneeded {} +; \
       fi


# Only training compiles models, which needs the first line; serving needs none of them.
# Their metadata go too, or a scanner would report packages that are not there.
FROM builder AS trimmed
# hadolint ignore=DL3003
RUN cd python3*/site-packages && rm -rf \
      sympy* mpmath* networkx* setuptools* _distutils_hack jinja2* \
      watchfiles* websockets* dotenv python_dotenv* yaml _yaml pyyaml* \
      distutils-precedence.pth


FROM ${BASE_IMAGE} AS runtime
# PYTHONPATH is for the console scripts, such as vae-serve.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/vae \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1
# A new named volume takes owner and mode from the directory it is mounted on. An
# arbitrary user id, as OpenShift gives, belongs to group 0.
RUN groupadd --gid 10001 vae \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent vae \
    && install --directory --owner 10001 --group 0 --mode 0775 /checkpoints
WORKDIR /opt/vae
COPY LICENSE NOTICE /licenses/
COPY model/ model/
ARG VERSION=
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="vae-service" \
      org.opencontainers.image.description="Serves variational autoencoders over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE"


FROM runtime AS train
COPY --from=builder /opt/venv /opt/venv
COPY pyproject.toml constraints.txt LICENSE NOTICE /src/
# The base image's Python has pip, the environment's has not.
RUN touch /src/README.md && PATH=${PATH#/opt/venv/bin:} \
    python -m pip --python /opt/venv/bin/python install \
      --no-cache-dir --no-compile --constraint /src/constraints.txt '/src[train]' \
    && find /opt/venv -type d -name tests -prune -exec rm -rf {} + \
    && chmod -R a+rX . && PYTHONDONTWRITEBYTECODE='' python -c 'import model.train.command'
# There is no home directory: downloads go to the volume, matplotlib's font cache to /tmp.
ENV MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/checkpoints/.cache
USER 10001:10001
ENTRYPOINT ["vae-train"]
CMD ["--data", "digits", "--out", "/checkpoints/digits"]


FROM runtime AS service
COPY --from=trimmed /opt/venv /opt/venv
COPY app/ app/
COPY released/ released/
# The root file system is read-only later, so bytecode is written now, and only of modules
# that the service imports: 20 MB instead of 150, and it starts in half the time. Both
# engines compute a little, which proves that nothing is missing that serving needs.
RUN chmod -R a+rX . && PYTHONDONTWRITEBYTECODE='' python -c "from app.main import create_app; \
      from app.settings import Settings; \
      [create_app(Settings(backend=name)) for name in ('onnx', 'torch')]"
ENV VAE_CHECKPOINT=/opt/vae/released/mnist \
    VAE_HOST=0.0.0.0 \
    VAE_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["python", "-m", "app.server.healthcheck"]
ENTRYPOINT ["vae-serve"]
CMD []
