/* SPDX-License-Identifier: Apache-2.0
 *
 * members.c - the table of members. See members.h.
 */
#include "core/config/members.h"

// clang-format off
const fl_member fl_members[] = {
    { "persist", "flamenco.persistence/1", FL_MEMBER_MANDATORY, "persist-sqlite",
      "Where jobs, tasks and workers are stored." },
    { "task_scheduler", "flamenco.task_scheduler/1", FL_MEMBER_MANDATORY, "scheduler-priority",
      "Which task a worker gets." },
    { "job_compiler", "flamenco.job_compiler/1", FL_MEMBER_MANDATORY, "compiler-js",
      "Makes tasks of a submitted job." },
    { "broadcaster", "flamenco.broadcaster/1", 0, "broadcaster-socketio",
      "Tells open web pages what happens." },
    { "event_forwarder", "flamenco.event_forwarder/1", FL_MEMBER_ANY, NULL,
      "Passes events on to other systems." },
    { "clock", "flamenco.clock/1", FL_MEMBER_MANDATORY, "clock-system",
      "What time it is." },
    { "discovery", "flamenco.discovery/1", FL_MEMBER_ANY, NULL,
      "Lets Workers find the manager in the network." },
    { "http_routes", "flamenco.http_routes/1", FL_MEMBER_ANY, "webapp",
      "Pages beside the API." },
    { "state_machine", "flamenco.state_machine/1", FL_MEMBER_MANDATORY, "state-machine",
      "What follows from a change of status." },
    { "log_storage", "flamenco.log_storage/1", FL_MEMBER_MANDATORY, "log-storage",
      "The logs of tasks." },
    { "local_storage", "flamenco.local_storage/1", FL_MEMBER_MANDATORY, "local-storage",
      "The manager's own files." },
    { "job_deleter", "flamenco.job_deleter/1", FL_MEMBER_MANDATORY, "job-deleter",
      "Removes jobs that were marked for deletion." },
    { "farm_status", "flamenco.farm_status/1", 0, "farm-status",
      "One word for what the farm does." },
    { "shaman", "flamenco.shaman/1", 0, "shaman",
      "Content-addressed storage of the artists' files." },
    { "last_rendered", "flamenco.last_rendered/1", 0, "last-rendered",
      "Small pictures of what was rendered last." },
    { "sleep_scheduler", "flamenco.sleep_scheduler/1", 0, "sleep-scheduler",
      "When workers sleep." },
};
// clang-format on

const size_t fl_members_count = sizeof(fl_members) / sizeof(fl_members[0]);

const fl_member *fl_member_find(flamenco_str name)
{
    for (size_t i = 0; i < fl_members_count; ++i)
        if (flamenco_str_equal(name, flamenco_text(fl_members[i].name)))
            return &fl_members[i];
    return NULL;
}
