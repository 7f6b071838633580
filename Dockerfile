# One image for every process of Milepost; docker-compose.yml names the command of each.
# It holds no secret and no setting: both come from volumes and variables when a container starts.
FROM python:3.12-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /opt/milepost
COPY requirements/run.txt requirements/
# The lock first: a change of the code does not install the dependencies again.
RUN /opt/milepost/bin/pip install --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY workers workers
COPY templates templates
RUN /opt/milepost/bin/pip install --no-deps --no-build-isolation .

FROM python:3.12-slim
# The volumes' mount points belong to the user who writes there: a new named volume takes over owner and mode.
RUN groupadd --gid 10001 milepost \
 && useradd --uid 10001 --gid milepost --no-create-home --home-dir /var/lib/milepost --shell /usr/sbin/nologin milepost \
 && install -d -o milepost -g milepost -m 0700 \
      /var/lib/milepost /var/lib/milepost-ledger /var/lib/catcher \
      /run/milepost-secrets /run/milepost-owner-secrets /run/milepost-database-secrets
COPY --from=build /opt/milepost /opt/milepost
ENV PATH=/opt/milepost/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER milepost
WORKDIR /var/lib/milepost
CMD ["milepost", "--help"]
