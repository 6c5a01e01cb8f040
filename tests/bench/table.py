# SPDX-License-Identifier: Apache-2.0
"""The figures with what is to be reached and what the reference does, and how they are printed. Used by run."""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure. target: None = for information only; better: which side of it is good."""
    key: str
    text: str
    unit: str
    target: float | None
    better: str
    reference: str

    def target_text(self):
        if self.target is None:
            return ""
        sign = {"less": "≤", "more": "≥", "same": "="}[self.better]
        return f"{sign} {self.target:,g}"

    def is_met(self, value):
        if self.better == "less":
            return value <= self.target
        return value >= self.target if self.better == "more" else value == self.target


def less(key, text, unit, target, reference="–"):
    return Row(key, text, unit, target, "less", reference)


def more(key, text, unit, target, reference="–"):
    return Row(key, text, unit, target, "more", reference)


def info(key, text, unit, reference="–"):
    return Row(key, text, unit, None, "less", reference)


def none(key, text):
    return Row(key, text, "", 0, "same", "–")


TABLE = (
    more("loop.rate", "50 closed-loop workers, 7 requests a task: tasks/s", "1/s", 3000, "65"),
    less("loop.cpu", "server CPU per such task", "µs", 250, "15,600"),
    info("loop.finished.rate", "the same with 500,000 finished tasks: tasks/s", "1/s"),
    info("loop.finished.cpu", "the same with 500,000 finished tasks: CPU per task", "µs", "827,000"),
    less("loop.finished.ratio", "… against an empty database", "ratio", 1.10, "53"),
    info("loop.queued.cpu", "the same with 100,000 queued tasks: CPU per task", "µs"),
    less("loop.queued.ratio", "… against an empty database", "ratio", 1.10),
    less("storing.ask", "ask-for-task p99 while a job of 100,000 tasks is stored", "ms", 50, "stands still"),
    less("storing.may_run", "may-i-run p99 meanwhile", "ms", 50, "stands still"),
    none("storing.errors", "errors meanwhile"),
    info("storing.time", "how long storing takes under that load", "s"),
    less("paced.ask", "10,000 workers of official pace, busy: ask-for-task p99", "ms", 20),
    less("paced.cpu", "… CPU", "cores", 1),
    none("paced.errors", "… errors"),
    info("paced.rss", "… RSS", "MiB"),
    less("paced.parked_cpu", "10,000 workers parked: CPU", "cores", 1),
    info("paced.parked_last", "… submit reply to the last of them holding its task", "ms"),
    less("parked.last", "submit reply to the last of 50 parked workers holding its task", "ms", 100, "10 s on average"),
    less("jobs.p50", "jobs of one task, 1 client: p50", "ms", 2, "1.9"),
    more("jobs.rate", "jobs of one task, 16 clients: jobs/s", "1/s", 1000, "904"),
    less("jobs.cpu", "… server and helper CPU per job", "ms", 1, "1.9"),
    less("big10k.time", "job of 10,000 tasks: accepted in", "s", 0.2, "0.6"),
    less("big10k.cpu", "… server and helper CPU per task", "µs", 20, "65"),
    less("big10k.memory", "… memory above idle, with the helper", "MiB", 100, "150"),
    less("big100k.time", "job of 100,000 tasks: accepted in", "s", 2, "4.4"),
    less("big100k.cpu", "… server and helper CPU per task", "µs", 20, "65"),
    less("big100k.memory", "… memory above idle, with the helper", "MiB", 100, "150"),
    info("big100k.manager", "… memory above idle, the manager alone", "MiB"),
    less("tasks.p50", "tasks of a job of 10,000: 1 reader p50", "ms", 15, "860"),
    info("tasks.bytes", "… size of the reply", "MB"),
    less("tasks.peak", "… 64 readers: peak memory", "MiB", 256, "787"),
    info("long.jobs.p50", "list of 10,000 jobs, whole: 1 reader p50", "ms"),
    info("long.jobs.page", "… 100 of them from the middle: CPU", "µs"),
    less("long.jobs.peak", "… 16 readers of the whole: peak memory", "MiB", 400),
    info("long.tasks.p50", "tasks of a job of 100,000, whole: 1 reader p50", "ms"),
    info("long.tasks.page", "… 100 of them from the middle: CPU", "µs"),
    less("long.tasks.peak", "… 16 readers of the whole: peak memory", "MiB", 400),
    less("get.version", "version: CPU per request", "µs", 12, "24"),
    less("get.job", "one job: CPU per request", "µs", 30, "100"),
    less("get.worker", "one worker: CPU per request", "µs", 30, "2,375"),
    less("get.types", "job types: CPU per request", "µs", 30, "2,966"),
    less("get.jobs", "list of 100 jobs: CPU per request", "µs", 200, "1,369"),
    info("sqlite.rate", "persist-sqlite: 50 closed-loop workers, tasks/s", "1/s"),
    info("sqlite.cpu", "… manager's CPU per task, without the database server's", "µs"),
    info("sqlite.ask", "… ask-for-task p50", "ms"),
    info("sqlite.completed", "… task-completed p99", "ms"),
    info("sqlite.big", "… job of 10,000 tasks: accepted in", "s"),
    info("postgres.rate", "persist-postgres, server on the same machine: 50 closed-loop workers, tasks/s", "1/s"),
    info("postgres.cpu", "… manager's CPU per task, without the database server's", "µs"),
    info("postgres.ask", "… ask-for-task p50", "ms"),
    info("postgres.completed", "… task-completed p99", "ms"),
    info("postgres.big", "… job of 10,000 tasks: accepted in", "s"),
    less("start.empty", "start to first answer, empty", "ms", 50, "85"),
    less("start.full", "start to first answer, 1,000,000 tasks", "ms", 200),
    less("restart.wait", "restart in place, 50 workers busy: longest wait of a new connection", "ms", 250),
    info("restart.time", "… signal to ready, half a second of announcement among it", "s"),
    none("restart.refused", "… connections refused or not answered"),
    none("restart.errors", "… requests of workers that failed (each would pause for a minute)"),
    less("rss.idle", "RSS idle", "MiB", 15, "31"),
    less("rss.busy", "RSS with 50 busy workers", "MiB", 40, "43"),
    less("rss.connections", "RSS with 2,000 idle connections", "MiB", 60, "90"),
    more("upload.1", "256 MiB files, synced, 1 connection: share of one core's SHA-256 rate", "%", 45, "42, not synced"),
    more("upload.4", "… 4 connections", "%", 70, "42, not synced"),
    less("upload.cpu1", "… server CPU per GiB, 1 connection", "s", 1.5, "1.8–2.1"),
    less("upload.cpu4", "… server CPU per GiB, 4 connections", "s", 1.5, "1.8–2.1"),
    less("upload.memory", "anonymous memory while 4 huge files arrive, above idle", "MiB", 16, "12"),
    less("upload.get", "… p99 of a small GET meanwhile", "ms", 10),
    more("small.1", "4 KiB files, synced, 1 connection: files/s", "1/s", 1000, "1,010, not synced"),
    more("small.8", "… 8 connections", "1/s", 3000, "2,303, not synced"),
    info("small.cpu1", "… CPU per file, 1 connection", "µs"),
    info("small.cpu8", "… CPU per file, 8 connections", "µs"),
    info("small.calls", "… system calls per file, 1 connection", ""),
    less("lists.requirements", "requirements for 10,000 files, all stored", "ms", 40, "142"),
    less("lists.requirements.calls", "… system calls per file", "", 3.01),
    less("lists.checkout", "checkout of 10,000 files", "ms", 200, "570"),
    info("lists.checkout.calls", "… system calls per file", ""),
    info("rss.helper", "RSS of the idle job compiler's helper, in addition", "MiB"),
    info("pages.slow_rate", "500 web pages that are told of all jobs, beside the reference's pace: tasks/s", "1/s", "5"),
    info("pages.slow_p50", "… from a request to its event on a page, p50", "ms"),
    less("pages.slow_p99", "… p99", "ms", 20, "85"),
    info("pages.steady_rate", "500 such pages beside a farm at a steady pace: tasks/s", "1/s"),
    info("pages.steady_p50", "… from a request to its event on a page, p50", "ms"),
    less("pages.steady_p99", "… p99", "ms", 20),
    info("pages.delivered", "500 such pages beside the 50 workers: events delivered/s", "1/s"),
    info("pages.quiet_p50", "… from a request to its event on a page, idle farm, p50", "ms"),
    info("pages.p50", "… the same beside the 50 workers, p50", "ms"),
    less("pages.p99", "… p99", "ms", 20, "85 at 5 tasks/s"),
    info("pages.age_p50", "… step counts, which come together: from the report to the page, p50", "ms"),
    info("pages.age_p99", "… p99", "ms"),
    less("pages.cpu", "… server CPU per event delivered", "µs", 5, "20 to 30"),
    less("pages.memory", "… memory per page", "KiB", 64, "24"),
    info("pages.busy_memory", "… the same under load", "KiB"),
    more("pages.rate", "… tasks/s against none (the pages are on this machine, too)", "ratio", 0.90, "0.25"),
    info("pages.task_cpu", "… server CPU per task against none", "ratio"),
    info("pages_each.delivered", "500 pages of Engine.IO 4 that are told each step count, compressed: events delivered/s", "1/s"),
    info("pages_each.p50", "… from a request to its event on a page, p50", "ms"),
    info("pages_each.p99", "… p99", "ms"),
    less("pages_each.cpu", "… server CPU per event delivered", "µs", 5),
    info("pages_each.rate", "… tasks/s against none", "ratio"),
    more("visitors.rate", "20 pages that stay 0.1 s each, for 60 s: tasks/s against none", "ratio", 0.90, "deadlock"),
    info("visitors.task_cpu", "… server CPU per task against none", "ratio"),
    info("visitors.visits", "… visits/s", "1/s"),
    info("visitors.memory", "… memory that the manager keeps of 15 s of them", "MiB"),
    less("visitors.idle", "2,000 web pages that do nothing: memory per page", "KiB", 64),
)
ROWS = {row.key: row for row in TABLE}


def digits(value):
    """Three figures that count, and no exponent."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


@dataclasses.dataclass
class Result:
    key: str
    values: list

    @property
    def row(self):
        return ROWS[self.key]

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def verdict(self):
        return "" if self.row.target is None else "yes" if self.row.is_met(self.median) else "NO"


LINE = "{:<72} {:>9} {:>9} {:>9}  {:<6} {:>10} {:>15}  {}"


def print_head():
    print(LINE.format("figure", "min", "median", "max", "unit", "to reach", "reference", "met"), flush=True)


def print_result(result, judge):
    row = result.row
    numbers = (digits(min(result.values)), digits(result.median), digits(max(result.values)))
    print(LINE.format(row.text, *numbers, row.unit, row.target_text(), row.reference,
                      result.verdict if judge else ""), flush=True)


def markdown(results):
    """The table for docs/performance.md; results: by key, may be empty."""
    lines = ["| figure | unit | to reach | reference | reached: median (min – max) | met |", "|---|---|---|---|---|---|"]
    for row in TABLE:
        reached = met = ""
        if row.key in results:
            result = results[row.key]
            reached = f"{digits(result.median)} ({digits(min(result.values))} – {digits(max(result.values))})"
            met = "**no**" if result.verdict == "NO" else result.verdict
        lines.append(f"| {row.text} | {row.unit} | {row.target_text()} | {row.reference} | {reached} | {met} |")
    return "\n".join(lines) + "\n"
