# The two images of the charts, with what runs on a laptop: the same pinned wheels, Envoy and rclone among them.
#
#   make images
#
# Both run as user 1000 on a read-only root file system; the charts mount a folder at /tmp, the only place
# that is written to. BASE may be a mirror's name for the same image, best with its digest.
ARG BASE=python:3.12.12-slim-bookworm

FROM ${BASE} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /tmp

FROM base AS build-bailie
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/build.txt requirements/core.txt /src/requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-deps --require-hashes -r /src/requirements/build.txt \
 && python -m venv /opt/bailie \
 && /opt/bailie/bin/pip install --no-deps --require-hashes -r /src/requirements/core.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md /src/
COPY proto /src/proto
COPY tools /src/tools
COPY packages /src/packages
COPY src /src/src
RUN cd /src \
 && /opt/build/bin/python -m hatchling build --target wheel --directory /tmp/wheel \
 && /opt/bailie/bin/pip install --no-deps /tmp/wheel/*.whl \
 && /opt/bailie/bin/pip check \
 && /opt/bailie/bin/pip uninstall --yes pip

FROM base AS build-mlserver
# mlserver-all: also the runtimes of requirements/mlserver-all.in.
ARG RUNTIMES=mlserver
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/mlserver.txt requirements/mlserver-all.txt /src/requirements/
RUN python -m venv /opt/mlserver \
 && /opt/mlserver/bin/pip install --no-deps --require-hashes -r /src/requirements/${RUNTIMES}.txt \
 && /opt/mlserver/bin/pip check \
 && /opt/mlserver/bin/pip uninstall --yes pip

# Operator, scheduler, agent and Envoy: which one is the container's first argument.
FROM base AS bailie
ENV PATH=/opt/bailie/bin:$PATH
COPY images/init /usr/local/bin/init
COPY --from=build-bailie /opt/bailie /opt/bailie
USER 1000:1000
ENTRYPOINT ["init", "bailie"]

# MLServer with the runtimes of requirements/mlserver.in.
FROM base AS bailie-mlserver
ENV PATH=/opt/mlserver/bin:$PATH MLSERVER_MODELS_DIR=/mnt/agent/models
COPY images/init /usr/local/bin/init
COPY --from=build-mlserver /opt/mlserver /opt/mlserver
COPY src/bailie/mlserver/start.py src/bailie/mlserver/bailie_binary.py src/bailie/mlserver/bailie_bodies.py src/bailie/mlserver/bailie_filenames.py src/bailie/mlserver/bailie_files.py src/bailie/mlserver/bailie_loops.py src/bailie/mlserver/bailie_models.py src/bailie/mlserver/bailie_quick.py src/bailie/mlserver/bailie_under_way.py /opt/mlserver/
USER 1000:1000
ENTRYPOINT ["init"]
CMD ["sh", "-c", "exec python /opt/mlserver/start.py start \"$MLSERVER_MODELS_DIR\""]
