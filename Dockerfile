# One image for web, workers, beat, signer and the development chain; compose.yaml says which command each runs.
FROM node:20.19.5-bookworm-slim AS browser
WORKDIR /srv/cadastre
COPY package.json package-lock.json .npmrc ./
RUN npm ci

FROM python:3.11.13-slim-bookworm
WORKDIR /srv/cadastre
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CADASTRE_VAR=/var/lib/cadastre
RUN useradd --system --home-dir /var/lib/cadastre --create-home cadastre && mkdir /var/lib/cadastre/keys
COPY requirements.txt requirements-demo.txt ./
RUN pip install --no-cache-dir -r requirements.txt -r requirements-demo.txt
COPY --from=browser /srv/cadastre/node_modules node_modules
COPY . .
RUN python tools/vendor.py && chown -R cadastre: /var/lib/cadastre
USER cadastre
EXPOSE 8000
CMD ["gunicorn", "marketplace.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "4", "--timeout", "120", "--no-control-socket"]
