/* SPDX-License-Identifier: Apache-2.0
 * getopt_long, defaults per mode and the help text; see options.h. Called by main.c. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "farm-sim: simulated Flamenco Workers, for showing, measuring and torturing a manager\n"
    "\n"
    "usage: farm-sim demo [options]    render a sample job with a few workers and watch it\n"
    "       farm-sim load [options]    as many requests as the manager can answer; prints rates and latencies\n"
    "       farm-sim soak [options]    hours of failures and disturbances, then checks that nothing was lost\n"
    "\n"
    "Options of all modes (times: 90, 90s, 1.5m, 250ms, 2h)\n"
    "  --url URL             the manager                                  [http://127.0.0.1:8080]\n"
    "  --workers N           simulated workers                            [demo 4, load 50, soak 30]\n"
    "  --name PREFIX         their names are PREFIX-1, PREFIX-2, …        [sim]\n"
    "  --task-types LIST     what they can do                             [blender,ffmpeg,file-management,misc]\n"
    "  --time-scale F        all pauses and task lengths times F          [1.0; soak 0.02]\n"
    "  --state FILE          keep the workers' credentials there, so that the next run does not register new ones\n"
    "  --quit-workers        demo: sign the workers off at the end (load and soak always do)\n"
    "  --can-restart         workers tell the manager that they can be restarted, and come back when they are\n"
    "  --seed N              of all random decisions                      [taken from the clock]\n"
    "  --json                one JSON object on stdout instead of text\n"
    "  --verbose             what each worker does, on stderr\n"
    "  --help\n"
    "\n"
    "demo\n"
    "  --job-type NAME       simple-blender-render or echo-sleep-test     [simple-blender-render]\n"
    "  --settings JSON       job settings instead of the sample's; needed for other job types\n"
    "  --frames RANGE        frames to render                             [1-24]\n"
    "  --chunk N             frames per task                              [3]\n"
    "  --frame-time T        length of a frame                            [0.5s]\n"
    "  --fail-rate P         share of tasks that fail, 0 to 1             [0]\n"
    "  --images              also send a rendered image for each frame\n"
    "  --read-files          read the blend file and all files in its folder before rendering\n"
    "  --timeout T           give up after T                              [10m]\n"
    "\n";

/* In two pieces, since C11 promises no more than 4095 characters in one. */
static const char help_load[] =
    "load (default: each worker asks for a task and sends 6 more requests for it, without any pause)\n"
    "  --tasks N             stop after N tasks                           [10000; only --duration given: endless]\n"
    "  --duration T          stop after T                                 [10m; --submit-only 60s; --paced 3 tasks, at "
    "least 60s]\n"
    "  --jobs N              spread the tasks over N jobs                 [1]\n"
    "  --script-type NAME, --settings JSON   job type and settings to use instead of a generated render job\n"
    "  --server-pid PID      also measure CPU time and memory of that process and its children\n"
    "  --submit-only         no workers: --clients C submit jobs of one task each, --jobs N in all   [C = 8]\n"
    "  --submit-tasks N      no workers: how long does the submission of one job of N tasks take\n"
    "  --parked              park all workers, then submit one job with a task for each (or --tasks N): how long\n"
    "                        until the last one has its task\n"
    "  --settle T            --parked, --while-storing: how long all goes on before that      [1s]\n"
    "  --paced T             workers of the official pace, with tasks of length T\n"
    "  --spread T            --paced: the workers begin one by one within T, and only then it is measured   [0]\n"
    "  --while-storing N     measures the default load only while one job of N more tasks is submitted\n"
    "  --get PATH            no workers: --clients C read that path, --requests N times in all   [C = 8, N = 1000]\n"
    "\n"
    "soak\n"
    "  --duration T          length of the disturbed part                 [60s]\n"
    "  --jobs N, --tasks N   jobs at work at a time, tasks per job        [4, 40]\n"
    "  --fail-rate P         share of tasks reported as failed            [0.02]\n"
    "  --vanish-rate P       share of tasks during which the worker disappears without sign-off   [0.02]\n"
    "  --cut-rate P          share of requests whose connection breaks    [0.01]\n"
    "  --disturb-rate F      cancels, requeues and status requests per second       [2]\n"
    "  --timeout T           how long the jobs may take to end after the disturbed part   [2m]\n"
    "\n"
    "Exit codes: 0 all well, 1 the job did not complete or a check failed, 2 usage, 3 manager not reachable,\n"
    "4 time-out, 130 interrupted.\n";

enum {
    OPT_URL = 256,
    OPT_WORKERS,
    OPT_NAME,
    OPT_TASK_TYPES,
    OPT_TIME_SCALE,
    OPT_STATE,
    OPT_QUIT,
    OPT_CAN_RESTART,
    OPT_SEED,
    OPT_JSON,
    OPT_VERBOSE,
    OPT_JOB_TYPE,
    OPT_SETTINGS,
    OPT_FRAMES,
    OPT_CHUNK,
    OPT_FRAME_TIME,
    OPT_FAIL_RATE,
    OPT_IMAGES,
    OPT_READ_FILES,
    OPT_TIMEOUT,
    OPT_TASKS,
    OPT_DURATION,
    OPT_JOBS,
    OPT_SERVER_PID,
    OPT_SUBMIT_ONLY,
    OPT_CLIENTS,
    OPT_SUBMIT_TASKS,
    OPT_PARKED,
    OPT_SETTLE,
    OPT_PACED,
    OPT_SPREAD,
    OPT_WHILE_STORING,
    OPT_GET,
    OPT_REQUESTS,
    OPT_VANISH_RATE,
    OPT_CUT_RATE,
    OPT_DISTURB_RATE,
};

static const struct option long_options[] = {
    { "url", required_argument, NULL, OPT_URL },
    { "workers", required_argument, NULL, OPT_WORKERS },
    { "name", required_argument, NULL, OPT_NAME },
    { "task-types", required_argument, NULL, OPT_TASK_TYPES },
    { "time-scale", required_argument, NULL, OPT_TIME_SCALE },
    { "state", required_argument, NULL, OPT_STATE },
    { "quit-workers", no_argument, NULL, OPT_QUIT },
    { "can-restart", no_argument, NULL, OPT_CAN_RESTART },
    { "seed", required_argument, NULL, OPT_SEED },
    { "json", no_argument, NULL, OPT_JSON },
    { "verbose", no_argument, NULL, OPT_VERBOSE },
    { "job-type", required_argument, NULL, OPT_JOB_TYPE },
    { "script-type", required_argument, NULL, OPT_JOB_TYPE },
    { "settings", required_argument, NULL, OPT_SETTINGS },
    { "frames", required_argument, NULL, OPT_FRAMES },
    { "chunk", required_argument, NULL, OPT_CHUNK },
    { "frame-time", required_argument, NULL, OPT_FRAME_TIME },
    { "fail-rate", required_argument, NULL, OPT_FAIL_RATE },
    { "images", no_argument, NULL, OPT_IMAGES },
    { "read-files", no_argument, NULL, OPT_READ_FILES },
    { "timeout", required_argument, NULL, OPT_TIMEOUT },
    { "tasks", required_argument, NULL, OPT_TASKS },
    { "duration", required_argument, NULL, OPT_DURATION },
    { "jobs", required_argument, NULL, OPT_JOBS },
    { "server-pid", required_argument, NULL, OPT_SERVER_PID },
    { "submit-only", no_argument, NULL, OPT_SUBMIT_ONLY },
    { "clients", required_argument, NULL, OPT_CLIENTS },
    { "submit-tasks", required_argument, NULL, OPT_SUBMIT_TASKS },
    { "parked", no_argument, NULL, OPT_PARKED },
    { "settle", required_argument, NULL, OPT_SETTLE },
    { "paced", required_argument, NULL, OPT_PACED },
    { "spread", required_argument, NULL, OPT_SPREAD },
    { "while-storing", required_argument, NULL, OPT_WHILE_STORING },
    { "get", required_argument, NULL, OPT_GET },
    { "requests", required_argument, NULL, OPT_REQUESTS },
    { "vanish-rate", required_argument, NULL, OPT_VANISH_RATE },
    { "cut-rate", required_argument, NULL, OPT_CUT_RATE },
    { "disturb-rate", required_argument, NULL, OPT_DISTURB_RATE },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

static bool parse_count(const char *text, uint32_t least, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || v < least || v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool parse_number(const char *text, double least, double most, double *out)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || v < least || v > most)
        return false;
    *out = v;
    return true;
}

static bool parse_time(const char *text, int64_t *out_us)
{
    static const struct {
        const char *unit;
        double us;
    } units[] = { { "", 1e6 }, { "s", 1e6 }, { "ms", 1e3 }, { "m", 60e6 }, { "h", 3600e6 } };
    char *end;
    double v = strtod(text, &end);
    if (end == text || !isfinite(v) || v < 0 || v > 1e8)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *out_us = (int64_t)(v * units[i].us);
            return true;
        }
    }
    return false;
}

/* Options of all modes. Returns -1 for an option of another group. */
static int parse_common(fl_options *o, int opt, const char *arg)
{
    uint32_t n;
    switch (opt) {
    case OPT_URL:
        o->url = arg;
        return *arg != 0;
    case OPT_WORKERS:
        return parse_count(arg, 1, &o->workers);
    case OPT_NAME:
        o->name_prefix = arg;
        return *arg != 0 && strlen(arg) < 48;
    case OPT_TASK_TYPES:
        o->task_types = arg;
        return true;
    case OPT_TIME_SCALE:
        return parse_number(arg, 0, 1000, &o->time_scale);
    case OPT_STATE:
        o->state_file = arg;
        return *arg != 0;
    case OPT_QUIT:
        return o->quit_workers = true;
    case OPT_CAN_RESTART:
        return o->can_restart = true;
    case OPT_SEED:
        if (!parse_count(arg, 0, &n))
            return false;
        o->seed = n;
        return true;
    case OPT_JSON:
        return o->json = true;
    case OPT_VERBOSE:
        return o->verbose = true;
    default:
        return -1;
    }
}

/* Options of single modes; the same one may serve several. */
static bool parse_of_mode(fl_options *o, int opt, const char *arg)
{
    uint32_t n;
    switch (opt) {
    case OPT_JOB_TYPE:
        o->job_type = arg;
        return *arg != 0;
    case OPT_SETTINGS:
        o->settings = arg;
        return *arg == '{';
    case OPT_FRAMES:
        o->frames = arg;
        return *arg != 0;
    case OPT_CHUNK:
        return parse_count(arg, 1, &o->chunk);
    case OPT_FRAME_TIME:
        return parse_time(arg, &o->frame_us);
    case OPT_FAIL_RATE:
        return parse_number(arg, 0, 1, &o->fail_rate);
    case OPT_IMAGES:
        return o->images = true;
    case OPT_READ_FILES:
        return o->read_files = true;
    case OPT_TIMEOUT:
        return parse_time(arg, &o->timeout_us);
    case OPT_TASKS:
        return parse_count(arg, 1, &o->tasks);
    case OPT_DURATION:
        return parse_time(arg, &o->duration_us);
    case OPT_JOBS:
        return parse_count(arg, 1, &o->jobs);
    case OPT_SERVER_PID:
        if (!parse_count(arg, 1, &n) || n > INT32_MAX)
            return false;
        o->server_pid = (int)n;
        return true;
    case OPT_SUBMIT_ONLY:
        o->scenario = FL_LOAD_SUBMIT_ONLY;
        return true;
    case OPT_CLIENTS:
        return parse_count(arg, 1, &o->clients);
    case OPT_SUBMIT_TASKS:
        o->scenario = FL_LOAD_SUBMIT_TASKS;
        return parse_count(arg, 1, &o->tasks);
    case OPT_PARKED:
        o->scenario = FL_LOAD_PARKED;
        return true;
    case OPT_SETTLE:
        return parse_time(arg, &o->settle_us);
    case OPT_PACED:
        o->scenario = FL_LOAD_PACED;
        return parse_time(arg, &o->task_us);
    case OPT_SPREAD:
        return parse_time(arg, &o->spread_us);
    case OPT_WHILE_STORING:
        return parse_count(arg, 1, &o->storing);
    case OPT_GET:
        o->scenario = FL_LOAD_GET;
        o->path = arg;
        return *arg == '/';
    case OPT_REQUESTS:
        return parse_count(arg, 1, &o->requests);
    case OPT_VANISH_RATE:
        return parse_number(arg, 0, 1, &o->vanish_rate);
    case OPT_CUT_RATE:
        return parse_number(arg, 0, 1, &o->cut_rate);
    case OPT_DISTURB_RATE:
        return parse_number(arg, 0, 1000, &o->disturb_rate);
    default:
        return false;
    }
}

static void set_defaults(fl_options *o)
{
    bool soak = o->mode == FL_MODE_SOAK, load = o->mode == FL_MODE_LOAD;
    bool endless = load && o->duration_us && !o->tasks; /* tasks 0: new jobs as long as the time lasts */
    bool timed = o->scenario == FL_LOAD_PACED || o->scenario == FL_LOAD_SUBMIT_ONLY;
    if (!o->workers)
        o->workers = soak ? 30 : load ? 50 : 4;
    if (o->time_scale < 0)
        o->time_scale = soak ? 0.02 : 1.0;
    if (!o->tasks && !endless)
        o->tasks = soak ? 40 : o->scenario == FL_LOAD_PARKED ? o->workers : timed ? 0 : 10000;
    if (!o->duration_us) {
        /* Paced workers should get through a few tasks; each costs them a pause of 5 s, too. */
        int64_t paced_us = (int64_t)(3 * o->time_scale * (double)(o->task_us + 8000000));
        o->duration_us = (soak || timed ? 60 : 600) * INT64_C(1000000);
        if (o->scenario == FL_LOAD_PACED && paced_us > o->duration_us)
            o->duration_us = paced_us;
    }
    if (!o->jobs)
        o->jobs = soak ? 4 : o->scenario == FL_LOAD_SUBMIT_ONLY ? 0 : 1;
    if (o->timeout_us < 0)
        o->timeout_us = (soak ? 120 : 600) * INT64_C(1000000);
    if (soak)
        o->can_restart = true;
    if (o->fail_rate < 0)
        o->fail_rate = soak ? 0.02 : 0;
    if (!o->job_type)
        o->job_type = "simple-blender-render";
}

int fl_options_parse(fl_options *o, int argc, char **argv)
{
    *o = (fl_options){
        .url = "http://127.0.0.1:8080",
        .name_prefix = "sim",
        .task_types = "blender,ffmpeg,file-management,misc",
        .frames = "1-24",
        .clients = 8,
        .requests = 1000,
        .chunk = 3,
        .timeout_us = -1,
        .settle_us = 1000000,
        .frame_us = 500000,
        .time_scale = -1,
        .fail_rate = -1,
        .vanish_rate = 0.02,
        .cut_rate = 0.01,
        .disturb_rate = 2,
        .seed = ((uint64_t)getpid() << 16 ^ (uint64_t)time(NULL)) & UINT32_MAX, /* can be typed in again */
    };
    int opt, place = 0;
    while ((opt = getopt_long(argc, argv, "h", long_options, &place)) != -1) {
        if (opt == 'h') {
            fputs(help, stdout);
            fputs(help_load, stdout);
            return FL_EXIT_OK;
        }
        if (opt == '?') {
            fprintf(stderr, "farm-sim: try --help\n");
            return FL_EXIT_USAGE;
        }
        int good = parse_common(o, opt, optarg);
        if (good < 0)
            good = parse_of_mode(o, opt, optarg);
        if (!good) {
            fprintf(stderr, "farm-sim: --%s %s: not a good value; try --help\n", long_options[place].name, optarg);
            return FL_EXIT_USAGE;
        }
    }
    static const char *const modes[] = { "demo", "load", "soak" };
    const char *mode = optind < argc ? argv[optind++] : NULL;
    for (size_t i = 0; mode && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(mode, modes[i]) == 0 && optind == argc) {
            o->mode = (fl_mode)i;
            set_defaults(o);
            return -1;
        }
    }
    if (!mode)
        fputs("farm-sim: say what to do: demo, load or soak; --help explains\n", stderr);
    else
        fprintf(stderr, "farm-sim: %s is not understood; --help explains\n", optind < argc ? argv[optind] : mode);
    return FL_EXIT_USAGE;
}
