# The node, on the CPU. As a container of a scanner: docker run --rm -p 9002:9002 spokestream
FROM python:3.12-slim AS build
WORKDIR /src
RUN python3 -m venv /opt/spokestream
COPY pyproject.toml constraints.txt hatch_build.py README.md LICENSE ./
COPY spokestream spokestream
COPY simulator simulator
COPY gadgets gadgets
COPY models models
COPY pipelines pipelines
RUN /opt/spokestream/bin/pip install --no-cache-dir -c constraints.txt . \
    && cp models/archives/*.pt /opt/spokestream/lib/python3.12/site-packages/spokestream/models/archives/

FROM python:3.12-slim
# the libraries bring their OpenMP runtimes in their wheels
COPY --from=build /opt/spokestream /opt/spokestream
ENV PATH=/opt/spokestream/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 node && mkdir /data && chown node /data
USER node
WORKDIR /data
EXPOSE 9002
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 9002), 3).close()"]
ENTRYPOINT []
CMD ["spokestream", "serve", "--host", "0.0.0.0", "--port", "9002", "--record", "/data/recordings"]
