"""Every setting of the deployment, typed, read from CLOSINGBELL_* and `.env` once.

Secrets of vendors are not settings: they are Airflow connections (AIRFLOW_CONN_<ID>), see `connections.py`.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """One instance a process; `settings()` returns it."""

    model_config = SettingsConfigDict(env_prefix="CLOSINGBELL_", env_file=REPOSITORY / ".env", extra="ignore")

    database_url: str = Field("", description="SQLAlchemy URL of the warehouse (a secret; never in argv)")
    landing: str = Field(str(REPOSITORY / "build/landing"), description="folder or s3://bucket/prefix of raw answers")
    landing_aws_conn_id: str = Field("aws_default", description="amazon connection for an s3:// landing zone")
    sql_dir: Path = Field(REPOSITORY / "sql", description="folder that holds migrations/ and queries/")

    sec_contact: str = Field("", description="e-mail address for SEC's User-Agent; live runs refuse without it")
    tickers: str = Field("", description="only these tickers, separated by commas; empty for everybody")
    price_vendor: Literal["polygon", "tiingo", "yahoo"] = Field("polygon", description="source of daily bars")
    yahoo_cache: Path = Field(REPOSITORY / "build/yahoo", description="where yfinance keeps cookies and time zones")
    close_delay_minutes: int = Field(120, ge=0, description="wait after the close before market_close starts")
    market_ends_on: date | None = Field(None, description="last session the sandbox serves; no later run is scheduled")
    simulated: bool = Field(False, description="the market is made up, which the scoreboard says")
    warmup_sessions: int = Field(400, ge=1, description="bars loaded where a security's history is missing")
    fortune500_csv: Path | None = Field(None, description="operator's file with rank and name")
    stocks_conn_id: str = Field("", description="operator's own PostgreSQL with a stocks table, by connection id")

    pod_runtime: Literal["local", "kubernetes"] = Field("local", description="where heavy steps run")
    pod_image: str = Field("closing-bell:local", description="image of a Kubernetes pod step")
    pod_namespace: str = Field("default", description="namespace of a Kubernetes pod step")
    pod_secret: str = Field("closing-bell", description="Kubernetes secret whose keys become a pod's environment")
    pod_template: Path = Field(REPOSITORY / "docker/pod_template.yaml", description="template of a Kubernetes pod step")
    fundamentals_cpu: float = 2
    fundamentals_memory: str = "4Gi"
    fundamentals_hours: float = 12
    indicators_cpu: float = 4
    indicators_memory: str = "8Gi"
    indicators_hours: float = 2
    institutions_cpu: float = 2
    institutions_memory: str = "3Gi"
    institutions_hours: float = 6

    news_hours: int = Field(4, ge=1, le=24, description="hours between two runs of news_sentiment")
    news_weights: dict[str, float] = Field({}, description="JSON: weight of a source in the unified sentiment")
    finbert: Path | None = Field(None, description="directory of FinBERT or a like BERT classifier")
    news_cpu: float = 2
    news_memory: str = "4Gi"

    airflow_url: str = Field("", description="Airflow that commands ask where no stack of this checkout is up")
    airflow_user: str = Field("", description="its user; empty where the password is an access token")
    airflow_password: str = Field("", description="password of that user, or a token (a secret)", repr=False)
    notifier: str = Field("", description="import path of an Airflow notifier called with a run's failure")
    scores_due_minutes: int = Field(240, description="after the close; later than this raises the deadline alert")
    json_logs: bool = False
    metrics: Literal["none", "statsd", "otel"] = "none"
    metrics_endpoint: str = Field("", description="host:port for StatsD, URL for OpenTelemetry")

    retain_landings_days: int = 3650
    retain_audits_days: int = 400
    retain_revisions_days: int = 3650
    retain_stages_hours: int = 168

    @field_validator("finbert", mode="before")
    @classmethod
    def _none_where_empty(cls, value: object) -> object:
        return value or None  # an image without the model has it empty, which as a path is the working directory

    @property
    def only_tickers(self) -> list[str]:
        """`tickers` in the house's spelling; empty for everybody."""
        from closingbell.universe.tickers import normal_ticker

        return [normal_ticker(ticker) for ticker in self.tickers.split(",") if ticker.strip()]


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings; tests that change the environment call `settings.cache_clear()`."""
    return Settings()
