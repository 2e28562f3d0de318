# The node as containers. `docker build -t spokestream .` makes the target `node`; `--target` takes another:
#   node        a node on CPUs
#   node-gpu    a node with CUDA; its machine needs the NVIDIA container toolkit
#   gadgetron   a Gadgetron that starts spokestream as an external module
#   openrecon   a node for the console of a scanner, see docs/scanners.md
ARG GADGETRON_IMAGE=ghcr.io/gadgetron/gadgetron/gadgetron_ubuntu_rt_nocuda:latest

FROM python:3.12-slim AS wheel
WORKDIR /src
COPY pyproject.toml constraints.txt hatch_build.py README.md LICENSE ./
COPY spokestream spokestream
COPY simulator simulator
COPY gadgets gadgets
COPY models models
COPY pipelines pipelines
RUN python3 -m pip wheel --no-cache-dir --no-deps -w /wheels . \
    && mkdir /wheels/archives && cp models/archives/*.pt /wheels/archives/ && cp constraints.txt /wheels/
COPY tools/sbom.py deploy/install.sh /wheels/

# the libraries bring their OpenMP runtimes in their wheels
FROM python:3.12-slim AS cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY --from=wheel /wheels /wheels
RUN sh /wheels/install.sh python3 "$TORCH_INDEX"

FROM python:3.12-slim AS gpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cu130
COPY --from=wheel /wheels /wheels
RUN sh /wheels/install.sh python3 "$TORCH_INDEX"

# Gadgetron's own Python is 3.10 and has old libraries; conda, where the image has it, brings a newer one.
FROM ${GADGETRON_IMAGE} AS gadgetron
ARG GADGETRON_HOME=/opt/conda/envs/gadgetron
ARG GADGETRON_USER=1000
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
USER root
COPY --from=wheel /wheels /wheels
RUN python=python3 \
    && if [ -x /opt/conda/bin/conda ]; then \
        /opt/conda/bin/conda create -y -p /opt/python --override-channels -c conda-forge python=3.12; \
        python=/opt/python/bin/python; \
    fi \
    && sh /wheels/install.sh "$python" "$TORCH_INDEX" && rm -rf /wheels
RUN configs="$GADGETRON_HOME/share/gadgetron/config" && mkdir -p "$configs" \
    && for name in auto mrf_t1ff mrf_t1ff_net mrf_t1t2 mrf_t1t2_net; do \
        /opt/spokestream/bin/spokestream xml "$name" > "$configs/spokestream_$name.xml" || exit 1; \
    done
COPY deploy/start-gadgetron.sh /opt/spokestream/
USER ${GADGETRON_USER}
EXPOSE 9002
ENTRYPOINT ["/opt/spokestream/start-gadgetron.sh"]

# OpenRecon and FIRE run it as root, and FIRE in a file system that it mounts.
FROM python:3.12-slim AS openrecon
COPY --from=cpu /opt/spokestream /opt/spokestream
ENV PATH=/opt/spokestream/bin:$PATH PYTHONUNBUFFERED=1 NVIDIA_DISABLE_REQUIRE=1
RUN spokestream package fire -o /opt/spokestream/fire
EXPOSE 9002
CMD ["spokestream", "serve", "--host", "0.0.0.0", "--port", "9002"]

FROM python:3.12-slim AS account
ENV PATH=/opt/spokestream/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 node && mkdir /data && chown node /data
USER node
WORKDIR /data
EXPOSE 9002
# the page answers inside the container alone, unless http_host and http_token are set
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python3", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9003/readyz', timeout=3)"]
CMD ["spokestream", "serve", "--host", "0.0.0.0", "--port", "9002", "--record", "/data/recordings", "--http", "9003", "--history", "/data/history"]

FROM account AS node-gpu
COPY --from=gpu /opt/spokestream /opt/spokestream
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM account AS node
COPY --from=cpu /opt/spokestream /opt/spokestream
