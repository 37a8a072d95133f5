# The image: what pyproject.toml asks for, at the versions of constraints.txt and nothing else (by checksum), and the
# project itself. docs/operations.md says how to pin the images that it is built from.
FROM python:3.13-slim AS install
WORKDIR /app
COPY image-requirements.txt ./
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r image-requirements.txt

FROM python:3.13-slim
# The database (where it is SQLite) and the static files; the only place that is written to.
RUN useradd --uid 10001 notices && install -d -o notices -g notices -m 700 /data
VOLUME /data
COPY --from=install /venv /venv
WORKDIR /app
COPY . .
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 DATA_DIR=/data HOST=0.0.0.0 PORT=8000
USER notices
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz')"]
# `prepare` migrates, collects the static files, and creates the administrator if ADMIN_PASSWORD is set.
CMD ["sh", "-c", "python manage.py prepare && exec python manage.py serve"]
