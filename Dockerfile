# One image for operator, API and migration: `docker build -t statekeep:0.1.0 .`
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /src
RUN python -m venv /build /venv
COPY constraints.txt .
RUN /build/bin/pip install --no-cache-dir --constraint constraints.txt hatchling
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY controller controller
RUN /build/bin/python -m hatchling build -t wheel -d /dist
RUN /venv/bin/pip install --no-cache-dir --constraint constraints.txt /dist/*.whl

FROM python:${PYTHON}-slim
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["statekeep"]
