"""`manage.py demo`: the whole story without a browser, on a fresh instance that is gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection, connections

from marketplace.management.embedded import MARK, relaunch
from marketplace.management.speaking import SpeakingCommand
from marketplace.management.story.check import check_without_the_site
from marketplace.management.story.figures import gas_per_action, log_head, payouts
from marketplace.management.story.report import check_report
from marketplace.management.story.tell import Story, tell
from marketplace.management.supervisor import Supervisor, stop_on_signals
from marketplace.queries.deployments import current_deployment
from provenance.adapters.local_process import free_port
from provenance.core.refusal import Refusal

FOLDER = "CADASTRE_DEMO_FOLDER"


class Command(SpeakingCommand):
    """Tell the story, stop the site, and check that everything still holds."""

    help = "Run the demo story on a fresh instance and verify every step; writes var/demo/report.json."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add where the report goes, and whether to keep the instance."""
        parser.add_argument("--report", type=Path, default=settings.BASE_DIR / "var" / "demo" / "report.json")
        parser.add_argument("--keep", action="store_true", help="keep the instance's folder and print it")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Exit 0 only if every step was verified."""
        if os.environ.get(MARK) != "1":
            relaunch(_fresh_instance())
        folder, port = Path(os.environ[FOLDER]), int(os.environ["CADASTRE_DEMO_PORT"])
        supervisor = Supervisor(port=port, say=self.say)
        stopped = stop_on_signals(supervisor)
        began = time.monotonic()
        story = Story(site=supervisor.url, folder=folder / "story", say=self.say, stopped=stopped, begin=self.begin)
        try:
            self.say(f"A fresh instance on {connection.vendor}, store {settings.CADASTRE_STORE}.")
            with story.step("start", "Chain, site, workers, beat and signer are running"):
                supervisor.start()
            tell(story)
            self._check(story, supervisor, folder)
            check_report(story.report)
        except (Refusal, TimeoutError) as refusal:
            self.say(f"  ✕ {refusal}")
            self.say(f"The instance is kept for a look: {folder}")
            options["keep"] = True
            raise CommandError(str(refusal)) from refusal
        finally:
            supervisor.stop()
            connections.close_all()
            if not options["keep"]:
                shutil.rmtree(folder, ignore_errors=True)
        story.report["seconds"]["all"] = round(time.monotonic() - began, 1)
        story.report["bundle"] = self._keep_bundle(story, options["report"])
        options["report"].parent.mkdir(parents=True, exist_ok=True)
        options["report"].write_text(json.dumps(story.report, indent=2, ensure_ascii=False, default=str) + "\n")
        self._table(story)
        self.say(f"Every step was verified, in {story.report['seconds']['all']} s. Report: {options['report']}")

    def _check(self, story: Story, supervisor: Supervisor, folder: Path) -> None:
        story.report["payouts"] = payouts(story.report["settlement"])
        story.report["log"] = log_head()
        story.report["gas"] = gas_per_action()
        tokens = list(current_deployment().tokens)
        supervisor.stop_site()
        connections.close_all()
        _put_database_away(folder)
        is_kubo = settings.CADASTRE_STORE == "kubo"
        source = ["--ipfs", settings.CADASTRE_KUBO_API] if is_kubo else ["--blocks", str(settings.CADASTRE_BLOCK_DIR)]
        check_without_the_site(story, rpc=settings.CADASTRE_RPC_URL, source=source, tokens=tokens)
        self._bundle = Path(story.report["bundle"]).read_bytes()

    def _keep_bundle(self, story: Story, report: Path) -> str:
        path = report.with_name("bundle.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._bundle)
        return str(path)

    def _table(self, story: Story) -> None:
        report = story.report
        self.say("")
        for row in report["datasets"]:
            self.say(f"  {row['title'][:52]:52}  {row['files']:>4} files  {row['package_root_cid'][:20]}…")
        copy = report["copy_refused"]
        self.say(f"  Mallory's copy: {copy['share']} of the records match ({copy['kind']}); not listed")
        sold = report["license"]
        self.say(f"  License {sold['id'].rsplit('-', 1)[1]}: {sold['price']} base units, fee {sold['fee']}")
        for row in report["payouts"]:
            self.say(f"  Payee {row['payee']:>3}: {row['amount']:>12}  {', '.join(row['reason'])}")
        self.say("")


def _fresh_instance() -> dict[str, str]:
    folder, port = tempfile.mkdtemp(prefix="cadastre-demo-"), free_port()
    return {
        FOLDER: folder,
        "CADASTRE_DEMO_PORT": str(port),
        "CADASTRE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "CADASTRE_VAR": folder,
        "CADASTRE_SETTLEMENT_WINDOW": "5",
        "CADASTRE_PUSH_THRESHOLD": "1",
        # The story closes the epoch itself; beat must not close it halfway.
        "CADASTRE_EPOCH_SECONDS": "31536000",
    }


def _put_database_away(folder: Path) -> None:
    database = folder / "cadastre.sqlite3"
    for path in folder.glob("cadastre.sqlite3*"):
        path.rename(path.with_name(f"away-{path.name}"))
    if database.exists():
        raise CommandError(f"{database} could not be put away")
