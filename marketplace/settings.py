"""Django settings, all from the environment; docs/operators.md lists every name, and a test keeps both equal."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from marketplace import environment

BASE_DIR = Path(__file__).resolve().parent.parent

# Where and what this instance is

CADASTRE_VAR = environment.folder("CADASTRE_VAR", BASE_DIR / "var")
CADASTRE_NETWORK = environment.choice("CADASTRE_NETWORK", ("test", "live"), "test")
LIVE = CADASTRE_NETWORK == "live"
CADASTRE_PUBLIC_URL = environment.origin("CADASTRE_PUBLIC_URL", "http://127.0.0.1:8000", ("http", "https"))
_PUBLIC = urlsplit(CADASTRE_PUBLIC_URL)

DEBUG = environment.flag("CADASTRE_DEBUG", default=False)
if DEBUG and LIVE:
    raise ImproperlyConfigured("CADASTRE_DEBUG shows source and settings to strangers: not on a live network.")
if LIVE and _PUBLIC.scheme != "https":
    raise ImproperlyConfigured(f"CADASTRE_PUBLIC_URL is {CADASTRE_PUBLIC_URL!r}; a live network needs https.")

ALLOWED_HOSTS = environment.hosts("CADASTRE_HOSTS", sorted({"127.0.0.1", "localhost", str(_PUBLIC.hostname)}))
CSRF_TRUSTED_ORIGINS = [CADASTRE_PUBLIC_URL]


def _secret_key() -> str:
    """Return the configured key, or one made at the first start: no key that is in the source signs sessions."""
    given = environment.text("CADASTRE_SECRET_KEY")
    if given:
        if len(given) < 32:
            raise ImproperlyConfigured(f"CADASTRE_SECRET_KEY has {len(given)} characters; it needs at least 32.")
        return given
    path = CADASTRE_VAR / "secret_key"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Written apart and linked into place: of several processes that start together one wins, and none reads a file
        # that is still empty.
        handle, written = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(written, path)
        Path(written).unlink()
    return path.read_text() or _made_elsewhere(path)


def _made_elsewhere(path: Path) -> str:
    raise ImproperlyConfigured(f"{path} is empty; delete it and start again.")


SECRET_KEY = _secret_key()

# Evidence: log, keys, content, chain. Folders follow CADASTRE_VAR unless they are named themselves.

CADASTRE_LOG_DIR = environment.folder("CADASTRE_LOG_DIR", CADASTRE_VAR / "log")
# Two registers that matter never share a name: whoever pinned one log would take the other for a fork of it.
CADASTRE_LOG_ORIGIN = environment.text(
    "CADASTRE_LOG_ORIGIN", f"{_PUBLIC.hostname}/log" if LIVE else "cadastre.localhost/log"
)
if not CADASTRE_LOG_ORIGIN or set(CADASTRE_LOG_ORIGIN) & set(" +\n\t"):
    raise ImproperlyConfigured("CADASTRE_LOG_ORIGIN is a name without spaces and plus signs (C2SP).")
CADASTRE_KEY_FILE = environment.folder("CADASTRE_KEY_FILE", CADASTRE_VAR / "keys" / "master.json")
# Only the signer opens the key file. The development default guards nothing and says so.
CADASTRE_KEY_PASSPHRASE = environment.text("CADASTRE_KEY_PASSPHRASE", "" if LIVE else "development-only")
CADASTRE_UPLOAD_DIR = environment.folder("CADASTRE_UPLOAD_DIR", CADASTRE_VAR / "uploads")
CADASTRE_BLOCK_DIR = environment.folder("CADASTRE_BLOCK_DIR", CADASTRE_VAR / "blocks")
CADASTRE_STORE = environment.choice("CADASTRE_STORE", ("local", "kubo"), "local")
CADASTRE_KUBO_API = environment.node("CADASTRE_KUBO_API", "/ip4/127.0.0.1/tcp/5001/http")
CADASTRE_COPIES = environment.integer("CADASTRE_COPIES", 1, low=1, high=20)
CADASTRE_CLAMD = environment.daemon("CADASTRE_CLAMD")
CADASTRE_ANCHOR_SECONDS = environment.integer("CADASTRE_ANCHOR_SECONDS", 300 if LIVE else 15, low=1, high=86_400)
CADASTRE_INDEX_ENTRIES = environment.integer("CADASTRE_INDEX_ENTRIES", 256, low=2, high=1_000_000)
CADASTRE_RPC_URL = environment.address("CADASTRE_RPC_URL", "http://127.0.0.1:8545", ("http", "https"))

# Trade

CADASTRE_EPOCH_SECONDS = environment.integer("CADASTRE_EPOCH_SECONDS", 2_592_000, low=1, high=31_536_000)
CADASTRE_SETTLEMENT_WINDOW = environment.integer("CADASTRE_SETTLEMENT_WINDOW", 172_800, low=0, high=2_592_000)
CADASTRE_FEE_BPS = environment.integer("CADASTRE_FEE_BPS", 250, low=0, high=500)
CADASTRE_HOLD_SECONDS = environment.integer("CADASTRE_HOLD_SECONDS", 86_400 if LIVE else 0, low=0, high=2_592_000)
CADASTRE_PUSH_THRESHOLD = environment.integer("CADASTRE_PUSH_THRESHOLD", 1_000_000, low=0, high=2**63 - 1)
CADASTRE_FAUCET_AMOUNT = environment.integer("CADASTRE_FAUCET_AMOUNT", 1_000_000_000, low=1, high=10**12)
CADASTRE_WITHDRAWAL_DELAY = environment.integer("CADASTRE_WITHDRAWAL_DELAY", 86_400, low=0, high=2_592_000)
CADASTRE_RELAY_ACCOUNT_DAILY = environment.integer("CADASTRE_RELAY_ACCOUNT_DAILY", 200, low=0, high=1_000_000)
CADASTRE_RELAY_GLOBAL_DAILY = environment.integer("CADASTRE_RELAY_GLOBAL_DAILY", 20_000, low=0, high=100_000_000)

# Application

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "provenance",
    "marketplace",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "marketplace.web.private.PrivateMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "marketplace.web.errors.RefusalMiddleware",
]

ROOT_URLCONF = "marketplace.urls"
WSGI_APPLICATION = "marketplace.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "marketplace.web.context.page",
            ],
        },
    },
]

# Database

DATABASE = environment.database("DATABASE_URL", f"sqlite:///{CADASTRE_VAR / 'cadastre.sqlite3'}")
_POOL_SIZE = environment.integer("CADASTRE_DATABASE_POOL", 8, low=1, high=200)
if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    CADASTRE_VAR.mkdir(parents=True, exist_ok=True)
    DATABASE |= {
        "OPTIONS": {
            # IMMEDIATE takes the write lock at BEGIN and waits for it. A deferred transaction that reads first and
            # then writes fails at once with "database is locked", whatever the timeout (SQLite: SQLITE_BUSY_SNAPSHOT).
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=30000;",
        },
        # Whoever closes the last connection writes the whole journal back and waits for the disk: not once a request.
        "CONN_MAX_AGE": 600,
        # A file, not memory: tests with threads need one database with several connections. One per test process.
        "TEST": {"NAME": str(Path(tempfile.gettempdir()) / f"cadastre-test-{os.getpid()}.sqlite3")},
    }
else:
    DATABASE |= {
        "ENGINE": "django.db.backends.postgresql",
        "OPTIONS": {"pool": {"min_size": 1, "max_size": _POOL_SIZE, "timeout": 20}},
        # Without it the first request after a database restart gets a dead connection from the pool.
        "CONN_HEALTH_CHECKS": True,
    }
DATABASES = {"default": DATABASE}

# "default" is where sign-in counts (django-allauth), so it is one for all processes. "process" is faster and holds what
# may differ between them.
CACHES = {
    "default": {"BACKEND": "marketplace.shared_cache.DatabaseCache"},
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}

# Queue: a doorbell. Tasks take what is due from the database, so nothing is stored in results or lost with a message.

CELERY_BROKER_URL = environment.text("CELERY_BROKER_URL", "filesystem://")
_BROKER_DIR = CADASTRE_VAR / "broker"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {}
if CELERY_BROKER_URL == "filesystem://":
    _BROKER_DIR.mkdir(parents=True, exist_ok=True)
    # kombu warns about an address without a host, also where none is asked.
    CELERY_BROKER_URL = "filesystem://localhost"
    CELERY_BROKER_TRANSPORT = "marketplace.file_broker:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_BROKER_DIR),
        "data_folder_out": str(_BROKER_DIR),
        "control_folder": str(_BROKER_DIR / "control"),
        "polling_interval": 0.2,
    }
elif urlsplit(CELERY_BROKER_URL).scheme not in {"redis", "rediss", "amqp", "amqps", "memory"}:
    raise ImproperlyConfigured("CELERY_BROKER_URL must be filesystem://, redis://, rediss://, amqp:// or amqps://.")
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "work"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 3_600
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(CADASTRE_VAR / "celerybeat-schedule")

# People

AUTH_USER_MODEL = "marketplace.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_USER_DISPLAY = "marketplace.session.shown_to_oneself"
ACCOUNT_ADAPTER = "marketplace.sign_up.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {"signup": "marketplace.web.signing_up.SignUpForm"}
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if LIVE else "optional"
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _PUBLIC.scheme
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not LIVE
MFA_TOTP_ISSUER = "Cadastre"

AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 1  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_FORM_FIELD = "login"
AXES_USERNAME_CALLABLE = "marketplace.session.login_of"
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True  # who signed in when and from where: nobody needs it, and it would be kept for ever
AXES_VERBOSE = False
AXES_CLIENT_IP_CALLABLE = "marketplace.session.address_of"
AXES_LOCKOUT_CALLABLE = "marketplace.web.errors.locked_out"

_MAIL_FOLDER = CADASTRE_VAR / "mail"
if LIVE and not environment.text("CADASTRE_EMAIL_URL"):
    raise ImproperlyConfigured(
        "CADASTRE_EMAIL_URL is not set; on a live network nobody can sign up before a letter has reached them."
    )
_MAIL = environment.mail("CADASTRE_EMAIL_URL", f"filemail://{_MAIL_FOLDER}")
EMAIL_BACKEND = str(_MAIL["EMAIL_BACKEND"])
if EMAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend":
    EMAIL_BACKEND = "marketplace.mail_server.MailServer"
EMAIL_FILE_PATH = str(_MAIL.get("EMAIL_FILE_PATH") or _MAIL_FOLDER)
EMAIL_HOST = _MAIL.get("EMAIL_HOST") or "localhost"
EMAIL_PORT = _MAIL.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = _MAIL.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = _MAIL.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = bool(_MAIL.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL = bool(_MAIL.get("EMAIL_USE_SSL"))
# A mail server that does not answer must not hold a request, or a worker, for ever.
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = environment.text("CADASTRE_EMAIL_FROM", f"cadastre@{_PUBLIC.hostname}")
# Whom alarms are mailed to.
ADMINS = [("", address) for address in environment.people("CADASTRE_OPERATORS")]

# Browser security

_SECURE = _PUBLIC.scheme == "https"
if environment.flag("CADASTRE_BEHIND_PROXY", default=False):
    # Only then: without a proxy that overwrites the header, anybody could claim to have come by https.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # Else everybody would come from the proxy's address, and share one limit.
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
USE_X_FORWARDED_HOST = False
SECURE_SSL_REDIRECT = _SECURE
# Load balancers ask each process itself, behind the proxy that speaks https.
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 31_536_000 if _SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _SECURE
# Browsers' built-in lists are joined by whoever owns the domain; nobody gets out of them within months.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _SECURE
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "cadastre_session", "cadastre_csrf"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "marketplace.web.errors.csrf_failure"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "worker-src": [SELF],
        "style-src": [SELF],
        "font-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "media-src": [SELF, "blob:"],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    },
}

# Static files

STATIC_URL = "/static/"
STATIC_ROOT = environment.folder("CADASTRE_STATIC_ROOT", CADASTRE_VAR / "static")
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns about a folder that collectstatic has yet to make
STATICFILES_DIRS = [path for path in (BASE_DIR / "static",) if path.is_dir()]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = not LIVE
MEDIA_ROOT = CADASTRE_VAR / "media"
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000

# API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "marketplace.api.authentication.ApiKeyAuthentication",
        "marketplace.api.authentication.SessionActorAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "marketplace.api.problems.problem_response",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.1",
    "TITLE": "Cadastre",
    "DESCRIPTION": "The open register and market for training data.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "DEFAULT_GENERATOR_CLASS": "marketplace.api.schema.ApiSchemaGenerator",
    # Components come from typed structures that have names of their own; nothing is to be renamed afterwards.
    "POSTPROCESSING_HOOKS": [],
}

# Language and time

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]

# Logging: to standard error, one line per event, secrets blanked

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "marketplace.redaction.RedactingFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["stderr"],
        "level": environment.choice("CADASTRE_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
    },
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        "axes": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        # A line for each ring, each second, for ever: whoever looks for a warning would not find it.
        "celery.beat": {"level": "WARNING"},
        "celery.worker.request": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}
