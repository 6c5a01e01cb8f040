/* SPDX-License-Identifier: Apache-2.0
 *
 * statements.h - every fixed SQL statement of the plugin. rows.c prepares them at first use and keeps them per session; the
 * unit tests look at their plans.
 *
 * Rules (design/persist-sqlite-notes.md 4 and 8): a statement of a hot path names its index (INDEXED BY), so that a lost plan
 * is an error and not a slow farm; CROSS JOIN fixes the order of joins; statuses that a partial index tests are literals.
 */
#ifndef FL_STATEMENTS_H
#define FL_STATEMENTS_H

#define FL_COMMIT_METRIC "sqlite_commit_seconds"

#define FL_JOB_COLUMNS \
    "h.id,j.uuid,h.status,h.prio,h.hidden,h.tag,g.uuid,j.created,h.updated,h.delete_requested,h.steps_total," \
    "h.steps_done,j.n_tasks,h.n0,h.n1,h.n2,h.n3,h.n4,h.n5,h.n6,j.name,j.type,h.activity,j.settings,j.metadata," \
    "j.storage,j.platform"
#define FL_JOB_TABLES "job_hot h CROSS JOIN job j ON j.id=h.id LEFT JOIN tag g ON g.id=h.tag"

/* What a task's own row says, but for the UUID. */
#define FL_TASK_OWN_COLUMNS \
    "t.id,t.job,t.prio,t.open_deps,t.worker,t.status,t.created,t.updated,t.touched,t.steps_total,t.steps_done,t.name," \
    "t.type,t.activity"
#define FL_TASK_OWN_COLUMNS_COUNT 14
#define FL_TASK_COLUMNS FL_TASK_OWN_COLUMNS ",t.uuid,j.uuid,t.id-j.first_task+1,w.uuid,w.deleted,w.name,w.address"
/* What stands around the task table; the task comes first. */
#define FL_TASK_JOINS \
    " CROSS JOIN job j ON j.id=t.job CROSS JOIN job_hot h ON h.id=t.job LEFT JOIN worker w ON w.id=t.worker"
#define FL_TASK_COLD " CROSS JOIN task_cold c ON c.id=t.id"

#define FL_WORKER_COLUMNS \
    "w.id,w.uuid,w.status,w.requested,w.lazy,w.can_restart,w.last_good,w.created,w.updated,w.seen,w.deleted,w.name," \
    "w.address,w.platform,w.software,w.task_types,w.secret"

#define FL_JOB_STATE_COLUMNS \
    "id,status,prio,tag,hidden,delete_requested IS NOT NULL,steps_total,steps_done,n0,n1,n2,n3,n4,n5,n6"

#define FL_JOB_STATE_ADDED \
    "n0=n0+?2,n1=n1+?3,n2=n2+?4,n3=n3+?5,n4=n4+?6,n5=n5+?7,n6=n6+?8,steps_total=steps_total+?9," \
    "steps_done=steps_done+?10"

#define FL_OPEN_TASK "status<2 AND open_deps=0"

/* The same words for the statements that are put together from pieces (lists.c, tasks.c, workers.c). */
#define FL_JOIN " CROSS JOIN "
#define FL_INDEX(name) " INDEXED BY " name
#define FL_NO_INDEX " NOT INDEXED"
#define FL_IN_MASK(mask, status) "((" mask ">>" status ")&1)"
#define FL_LIMIT(n) n /* -1 = all */
#define FL_ASCENDING ""
#define FL_DESCENDING " DESC"

// clang-format off
#define FL_SQL_LIST(X)                                                                                                 \
    /* the store */                                                                                                    \
    X(STATE_GET, "SELECT value FROM state WHERE name=?1")                                                              \
    X(STATE_SET, "UPDATE state SET value=?2 WHERE name=?1")                                                            \
    X(BATCH_SET, "UPDATE state SET value=?1 WHERE name='batch' AND (SELECT value FROM state WHERE name='epoch')=?2")    \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                                                  \
    X(BEGIN_READ, "BEGIN")                                                                                             \
    /* Gives nothing, and yet takes the snapshot. */                                                                   \
    X(SNAPSHOT, "SELECT 1 FROM state WHERE name='batch' LIMIT 0")                                                      \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(SAVEPOINT, "SAVEPOINT request")                                                                                  \
    X(RELEASE, "RELEASE request")                                                                                      \
    X(ROLLBACK_TO, "ROLLBACK TO request")                                                                              \
    X(METHOD_BEGIN, "SAVEPOINT method")                                                                                \
    X(METHOD_KEEP, "RELEASE method")                                                                                   \
    X(METHOD_UNDO, "ROLLBACK TO method")                                                                               \
    X(TYPES_AFTER, "SELECT id,name FROM task_type WHERE id>?1 ORDER BY id")                                            \
    X(TYPE_FIND, "SELECT id FROM task_type WHERE name=?1")                                                             \
    X(TYPE_ADD, "INSERT INTO task_type(name) VALUES(?1) RETURNING id")                                                 \
    /* jobs */                                                                                                         \
    X(JOB_GET, "SELECT " FL_JOB_COLUMNS " FROM job j INDEXED BY job_uuid CROSS JOIN job_hot h ON h.id=j.id"            \
               " LEFT JOIN tag g ON g.id=h.tag WHERE j.uuid=?1 AND h.hidden=0")                                        \
    X(JOB_GET_KEY, "SELECT " FL_JOB_COLUMNS " FROM " FL_JOB_TABLES " WHERE h.id=?1 AND h.hidden=0")                    \
    /* fl_known_job: what changes it calls fl_known_changed() before. */                                               \
    X(JOB_LASTING, "SELECT j.uuid,j.first_task FROM job j CROSS JOIN job_hot h ON h.id=j.id"                           \
                   " WHERE j.id=?1 AND h.hidden=0")                                                                    \
    X(JOB_RANGE, "SELECT first_task,first_task+n_tasks FROM job WHERE id=?1")                                          \
    X(JOBS_COUNT, "SELECT status,n FROM job_count")                                                                    \
    X(JOBS_TOTAL, "SELECT count(*) FROM job_hot INDEXED BY job_updated WHERE hidden=0 AND ((?1>>status)&1)"            \
                  " AND updated>?2")                                                                                   \
    X(JOBS_TOTAL_MARKED, "SELECT count(*) FROM job_hot INDEXED BY job_marked WHERE delete_requested IS NOT NULL"       \
                         " AND hidden=0 AND ((?1>>status)&1) AND (?2 IS NULL OR updated>?2)")                          \
    X(JOBS_TOTAL_HIDDEN, "SELECT count(*) FROM job_hot INDEXED BY job_hidden WHERE hidden=1"                           \
                         " AND ((?1>>status)&1) AND (?2 IS NULL OR updated>?2)")                                       \
    X(JOB_COUNT_ADD, "UPDATE job_count SET n=n+?2 WHERE status=?1")                                                    \
    X(JOB_STATE, "SELECT " FL_JOB_STATE_COLUMNS " FROM job_hot WHERE id=?1")                                           \
    /* No RETURNING here and in OPEN_DEPS_ADD: the table in between that it needs costs more than reading the row again. */ \
    X(JOB_STATE_ADD, "UPDATE job_hot SET " FL_JOB_STATE_ADDED " WHERE id=?1")                                          \
    X(JOB_STATE_ADD_NEWS, "UPDATE job_hot SET " FL_JOB_STATE_ADDED ",updated=?11 WHERE id=?1")                         \
    X(JOB_SET_STATUS, "UPDATE job_hot SET status=?2,activity=?3,updated=?4 WHERE id=?1")                               \
    X(JOB_SET_PRIORITY, "UPDATE job_hot SET prio=?2,updated=?3 WHERE id=?1")                                           \
    X(JOB_SET_TAG, "UPDATE job_hot SET tag=?2,updated=?3 WHERE id=?1")                                                 \
    X(JOB_SET_HIDDEN, "UPDATE job_hot SET hidden=?2 WHERE id=?1")                                                      \
    X(JOB_SET_STORAGE, "UPDATE job SET storage=?2 WHERE id=?1")                                                        \
    X(JOB_MARK, "UPDATE job_hot SET delete_requested=?2,updated=?2 WHERE id=?1")                                       \
    X(JOBS_MARK, "UPDATE job_hot SET delete_requested=?2,updated=?2 WHERE updated<=?1 AND hidden=0")                   \
    X(RUNQ_DROP_MARKED, "DELETE FROM runq WHERE job IN"                                                                \
                        " (SELECT id FROM job_hot INDEXED BY job_marked WHERE delete_requested IS NOT NULL)")          \
    X(JOB_INSERT, "INSERT INTO job(uuid,first_task,n_tasks,created,name,type,storage,platform,settings,metadata)"      \
                  " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10) RETURNING id")                                              \
    X(JOB_HOT_INSERT, "INSERT INTO job_hot(id,status,prio,tag,hidden,delete_requested,updated,steps_total,steps_done," \
                      "n0,n1,n2,n3,n4,n5,n6,activity) VALUES(?1,?2,?3,?4,1,?5,?6,0,0,0,0,0,0,0,0,0,?7)")               \
    X(JOB_DELETE, "DELETE FROM job WHERE id=?1")                                                                       \
    X(JOB_HOT_DELETE, "DELETE FROM job_hot WHERE id=?1")                                                               \
    X(LAST_RENDERED_SET, "INSERT OR REPLACE INTO last_rendered(id,job) VALUES(1,?1)")                                  \
    X(LAST_RENDERED_GET, "SELECT " FL_JOB_COLUMNS " FROM last_rendered l CROSS JOIN job_hot h ON h.id=l.job"           \
                         " CROSS JOIN job j ON j.id=h.id LEFT JOIN tag g ON g.id=h.tag WHERE l.id=1 AND h.hidden=0")   \
    X(LAST_RENDERED_DELETE, "DELETE FROM last_rendered WHERE job=?1")                                                  \
    /* tasks */                                                                                                        \
    X(TASK_INSERT, "INSERT INTO task(id,uuid,job,type,prio,status,worker,open_deps,steps_total,steps_done,created,"    \
                   "updated,touched,name,activity) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)")        \
    X(TASK_COLD_INSERT, "INSERT INTO task_cold(id,commands) VALUES(?1,?2)")                                            \
    X(DEP_INSERT, "INSERT INTO dep(needs,task) VALUES(?1,?2)")                                                         \
    X(WORKER_SHOWN, "SELECT uuid,deleted,name,address FROM worker WHERE id=?1")                                        \
    X(TASK_GET, "SELECT " FL_TASK_COLUMNS ",c.commands FROM task t INDEXED BY task_uuid" FL_TASK_JOINS FL_TASK_COLD    \
                " WHERE t.uuid=?1 AND h.hidden=0")                                                                     \
    X(TASK_GET_KEY, "SELECT " FL_TASK_COLUMNS ",c.commands FROM task t" FL_TASK_JOINS FL_TASK_COLD                     \
                    " WHERE t.id=?1 AND h.hidden=0")                                                                   \
    X(TASK_FIND, "SELECT " FL_TASK_COLUMNS " FROM task t INDEXED BY task_uuid" FL_TASK_JOINS                           \
                 " WHERE t.uuid=?1 AND h.hidden=0")                                                                    \
    X(TASK_FIND_ALONE, "SELECT " FL_TASK_OWN_COLUMNS " FROM task t INDEXED BY task_uuid WHERE t.uuid=?1")               \
    X(TASKS_TOTAL, "SELECT count(*) FROM task WHERE id>=?1 AND id<?2 AND ((?3>>status)&1)"                             \
                   " AND (?4 IS NULL OR updated>?4)")                                                                  \
    X(TASKS_ACTIVE_OF_WORKER, "SELECT " FL_TASK_COLUMNS " FROM task t INDEXED BY task_active" FL_TASK_JOINS            \
                              " WHERE t.worker=?1 AND t.status=2 AND (?2=0 OR t.job=?2) AND h.hidden=0 ORDER BY t.id") \
    X(TASKS_FAILED_OF_WORKER, "SELECT " FL_TASK_COLUMNS " FROM task t INDEXED BY task_failed" FL_TASK_JOINS            \
                              " WHERE t.worker=?1 AND t.status=4 AND (?2=0 OR t.job=?2) AND h.hidden=0 ORDER BY t.id") \
    X(TASKS_OF_WORKER_IN_JOB, "SELECT " FL_TASK_COLUMNS " FROM task t" FL_TASK_JOINS                                   \
                              " WHERE t.id>=?1 AND t.id<?2 AND t.worker=?3 AND ((?4>>t.status)&1) AND h.hidden=0"      \
                              " ORDER BY t.id")                                                                        \
    X(TASKS_OF_WORKER, "SELECT " FL_TASK_COLUMNS " FROM task t" FL_TASK_JOINS                                          \
                       " WHERE t.worker=?1 AND ((?2>>t.status)&1) AND h.hidden=0 ORDER BY t.id")                       \
    /* The first active one, or the last one. One statement: opening the tables is what most of this costs. */           \
    X(TASK_SHOWN, "SELECT " FL_TASK_COLUMNS " FROM (SELECT coalesce((SELECT a.id FROM task a INDEXED BY task_active"   \
                  " CROSS JOIN job_hot b ON b.id=a.job WHERE a.worker=?1 AND a.status=2 AND b.status=1"                \
                  " AND b.hidden=0 ORDER BY a.id LIMIT 1),(SELECT last_task FROM worker WHERE id=?1)) AS id) v"        \
                  " CROSS JOIN task t ON t.id=v.id" FL_TASK_JOINS " WHERE h.hidden=0")                                 \
    X(TASKS_TIMED_OUT, "SELECT " FL_TASK_COLUMNS " FROM task t INDEXED BY task_active" FL_TASK_JOINS                   \
                       " WHERE t.status=2 AND t.touched<=?1 AND h.hidden=0 ORDER BY t.id")                                        \
    X(TASK_NEEDS, "SELECT " FL_TASK_COLUMNS " FROM dep d CROSS JOIN task t ON t.id=d.needs" FL_TASK_JOINS              \
                  " WHERE d.needs>=?1 AND d.needs<?2 AND d.task=?3 AND h.hidden=0 ORDER BY d.needs")                   \
    X(DEPS_LIST, "SELECT task-?1+1,needs-?1+1 FROM dep WHERE needs>=?1 AND needs<?2 ORDER BY needs,task")              \
    X(TASK_STATE, "SELECT job,type,prio,status,worker,open_deps,steps_total,steps_done FROM task WHERE id=?1")         \
    X(DEPENDANTS, "SELECT task FROM dep WHERE needs=?1")                                                               \
    X(OPEN_DEPS_ADD, "UPDATE task SET open_deps=open_deps+?2 WHERE id=?1")                                             \
    X(BULK_SCAN, "SELECT id,status,open_deps,steps_total,steps_done,type FROM task WHERE id>=?1 AND id<?2"             \
                 " AND ((?3>>status)&1)")                                                                              \
    X(BULK_UPDATE, "UPDATE task SET status=?4,activity=?5,updated=?6 WHERE id>=?1 AND id<?2 AND ((?3>>status)&1)")     \
    X(BULK_UPDATE_QUEUED, "UPDATE task SET status=?4,activity=?5,updated=?6,steps_done=CASE WHEN status=?4"            \
                          " THEN steps_done ELSE 0 END WHERE id>=?1 AND id<?2 AND ((?3>>status)&1)")                   \
    X(BULK_UPDATE_COMPLETED, "UPDATE task SET status=?4,activity=?5,updated=?6,steps_done=CASE WHEN status=?4"         \
                             " THEN steps_done ELSE steps_total END WHERE id>=?1 AND id<?2 AND ((?3>>status)&1)")      \
    X(BULK_CLOSE_DEPS, "UPDATE task SET open_deps=open_deps+c.n FROM (SELECT d.task AS task,count(*) AS n FROM dep d"  \
                       " CROSS JOIN task x ON x.id=d.needs WHERE d.needs>=?1 AND d.needs<?2 AND x.status=3"            \
                       " GROUP BY d.task) c WHERE task.id=c.task")                                                     \
    X(TASKS_DELETE, "DELETE FROM task WHERE id>=?1 AND id<?2")                                                         \
    X(TASKS_COLD_DELETE, "DELETE FROM task_cold WHERE id>=?1 AND id<?2")                                               \
    X(DEPS_NTH, "SELECT needs,task FROM dep WHERE needs>=?1 AND needs<?2 ORDER BY needs,task LIMIT 1 OFFSET ?3")       \
    X(DEPS_DELETE_TO, "DELETE FROM dep WHERE needs>=?1 AND (needs,task)<(?2,?3)")                                      \
    X(FIRST_TASK_FROM, "SELECT id FROM task WHERE id>=?1 AND id<?2 ORDER BY id LIMIT 1")                               \
    X(TASK_TOUCH, "UPDATE task SET touched=max(coalesce(touched,?2),?2),updated=max(updated,?2) WHERE id=?1")          \
    /* scheduling */                                                                                                   \
    X(TASK_HELD, "SELECT " FL_TASK_COLUMNS ",c.commands FROM task t INDEXED BY task_active" FL_TASK_JOINS FL_TASK_COLD \
                 " WHERE t.worker=?1 AND t.status=2 AND h.status<2 AND h.hidden=0 AND h.delete_requested IS NULL"      \
                 " ORDER BY t.id LIMIT 1")                                                                             \
    X(WORKER_ABILITIES, "SELECT 0,type FROM worker_type WHERE worker=?1 UNION ALL"                                     \
                        " SELECT 1,tag FROM worker_tag WHERE worker=?1")                                               \
    X(RUNQ_NEXT, "SELECT r.njp,r.ntp,r.job FROM runq r WHERE r.tag=?1 AND r.type=?2 AND (r.njp,r.ntp,r.job)>(?3,?4,?5)" \
                 " AND NOT EXISTS(SELECT 1 FROM blocklist b WHERE b.job=r.job AND b.type=r.type AND b.worker=?6)"      \
                 " ORDER BY r.njp,r.ntp,r.job LIMIT 1")                                                                \
    X(TASK_RUNNABLE, "SELECT " FL_TASK_COLUMNS ",c.commands FROM task t INDEXED BY task_run" FL_TASK_JOINS             \
                     FL_TASK_COLD " WHERE t.job=?1 AND t.type=?2 AND t.status<2 AND t.open_deps=0 AND NOT EXISTS"      \
                     "(SELECT 1 FROM failure f WHERE f.task=t.id AND f.worker=?3) ORDER BY t.prio DESC,t.id LIMIT 1")  \
    X(RUN_HEAD, "SELECT prio,id FROM task INDEXED BY task_run WHERE job=?1 AND type=?2 AND " FL_OPEN_TASK              \
                " ORDER BY prio DESC,id LIMIT 1")                                                                      \
    X(RUN_NEXT_TYPE, "SELECT type,prio FROM task INDEXED BY task_run WHERE job=?1 AND type>?2 AND " FL_OPEN_TASK       \
                     " ORDER BY type,prio DESC LIMIT 1")                                                               \
    X(RUN_COUNT, "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_run WHERE job=?1 AND type=?2 AND "          \
                 FL_OPEN_TASK " LIMIT ?3)")                                                                            \
    X(RUN_COUNT_FOR, "SELECT count(*) FROM (SELECT 1 FROM task t INDEXED BY task_run WHERE t.job=?1 AND t.type=?2"     \
                     " AND t.status<2 AND t.open_deps=0 AND NOT EXISTS(SELECT 1 FROM failure f WHERE f.task=t.id"      \
                     " AND f.worker=?4) LIMIT ?3)")                                                                    \
    X(RUNQ_GET, "SELECT ntp FROM runq INDEXED BY runq_job WHERE job=?1 AND type=?2")                                   \
    X(RUNQ_ANY, "SELECT 1 FROM runq WHERE tag=?1 AND type=?2 LIMIT 1")                                                 \
    X(RUNQ_TYPES, "SELECT type FROM runq INDEXED BY runq_job WHERE job=?1 ORDER BY type")                              \
    X(RUNQ_PUT, "INSERT OR REPLACE INTO runq(tag,type,njp,ntp,job,share)"                                              \
                " VALUES(?1,?2,?3,?4,?5,(SELECT share FROM job_hot WHERE id=?5))")                                     \
    X(JOB_SET_SHARE, "UPDATE job_hot SET share=?2 WHERE id=?1")                                                        \
    X(RUNQ_SET_SHARE, "UPDATE runq INDEXED BY runq_job SET share=?2 WHERE job=?1")                                     \
    X(RUNQ_SHARE_NEXT, "SELECT r.njp,r.ntp,r.job FROM runq r INDEXED BY runq_share WHERE r.tag=?1 AND r.type=?2"       \
                       " AND r.share=?7 AND (r.njp,r.ntp,r.job)>(?3,?4,?5)"                                            \
                       " AND NOT EXISTS(SELECT 1 FROM blocklist b WHERE b.job=r.job AND b.type=r.type AND b.worker=?6)" \
                       " ORDER BY r.njp,r.ntp,r.job LIMIT 1")                                                          \
    X(RUNQ_NEXT_SHARE, "SELECT share FROM runq INDEXED BY runq_share WHERE tag=?1 AND type=?2 AND share>?3"            \
                       " ORDER BY share LIMIT 1")                                                                      \
    X(RUNQ_DELETE, "DELETE FROM runq INDEXED BY runq_job WHERE job=?1 AND type=?2")                                    \
    X(RUNQ_DELETE_JOB, "DELETE FROM runq INDEXED BY runq_job WHERE job=?1")                                            \
    X(RUNQ_SET_PRIORITY, "UPDATE runq INDEXED BY runq_job SET njp=?2 WHERE job=?1")                                    \
    X(RUNQ_SET_TAG, "UPDATE runq INDEXED BY runq_job SET tag=?2 WHERE job=?1")                                         \
    /* workers; fl_known_changed() comes before what changes one of FL_WORKER_COLUMNS */                               \
    X(WORKER_INSERT, "INSERT INTO worker(uuid,status,requested,lazy,can_restart,last_good,created,updated,seen,"       \
                     "deleted,last_task,name,address,platform,software,task_types,secret)"                             \
                     " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,0,?11,?12,?13,?14,?15,?16) RETURNING id")                 \
    X(WORKER_GET, "SELECT " FL_WORKER_COLUMNS " FROM worker w INDEXED BY worker_uuid WHERE w.uuid=?1"                  \
                  " AND w.deleted IS NULL")                                                                            \
    X(WORKER_GET_KEY, "SELECT " FL_WORKER_COLUMNS " FROM worker w WHERE w.id=?1")                                      \
    X(WORKER_KEY, "SELECT id FROM worker INDEXED BY worker_uuid WHERE uuid=?1")                                        \
    X(WORKERS_TOTAL, "SELECT count(*) FROM worker WHERE ((?1>>status)&1) AND (?2 IS NULL OR updated>?2)"               \
                     " AND (?3 OR deleted IS NULL)")                                                                   \
    X(WORKERS_COUNT, "SELECT sum(status=0),sum(status=1),sum(status=2),sum(status=3),sum(status=4),sum(status=5),"     \
                     "sum(status=6),sum(status=7) FROM worker WHERE deleted IS NULL")                                  \
    /* ?3 = FLAMENCO_WORKER_SET_*: no index knows these columns, so writing back an unchanged one costs nothing */         \
    X(WORKER_UPDATE, "UPDATE worker SET updated=?2,status=iif(?3&1,?4,status),requested=iif(?3&2,?5,requested),"       \
                     "lazy=iif(?3&2,?6,lazy),name=iif(?3&4,?7,name),address=iif(?3&4,?8,address),"                     \
                     "software=iif(?3&4,?9,software),task_types=iif(?3&4,?10,task_types),"                             \
                     "can_restart=iif(?3&4,?11,can_restart),last_good=iif(?3&8,?12,last_good),"                        \
                     "seen=iif(?3&16,?2,seen) WHERE id=?1")                                                            \
    X(WORKER_DELETE, "UPDATE worker SET deleted=?2 WHERE id=?1 AND deleted IS NULL")                                   \
    X(WORKERS_TIMED_OUT, "SELECT " FL_WORKER_COLUMNS " FROM worker w WHERE w.seen<=?1 AND w.deleted IS NULL"           \
                         " AND w.status NOT IN (4,6) ORDER BY w.id")                                                   \
    X(WORKER_TYPES_DELETE, "DELETE FROM worker_type WHERE worker=?1")                                                  \
    X(WORKER_TYPE_ADD, "INSERT OR IGNORE INTO worker_type(worker,type) VALUES(?1,?2)")                                 \
    X(WORKER_LAST_TASK, "UPDATE worker SET last_task=?2 WHERE id=?1")                                                  \
    X(WORKER_LAST_TASK_GET, "SELECT last_task FROM worker WHERE id=?1")                                                \
    X(WORKER_LAST_TASK_IMPORT, "UPDATE worker SET last_task=?2 WHERE id=?1 AND coalesce((SELECT t.updated FROM task t" \
                               " WHERE t.id=worker.last_task),0)<=?3")                                                 \
    X(WORKER_SEEN, "UPDATE worker SET seen=max(coalesce(seen,?2),?2),updated=max(coalesce(updated,?2),?2)"             \
                   " WHERE id=?1 AND deleted IS NULL")                                                                 \
    X(WORKERS_CAPABLE, "SELECT count(*) FROM worker w WHERE w.deleted IS NULL AND (w.status NOT IN (4,6) OR w.seen>=?5)" \
                       " AND EXISTS(SELECT 1 FROM worker_type y WHERE y.worker=w.id AND y.type=?2)"                    \
                       " AND (?3=0 OR EXISTS(SELECT 1 FROM worker_tag g WHERE g.worker=w.id AND g.tag=?3))"            \
                       " AND NOT EXISTS(SELECT 1 FROM blocklist b WHERE b.job=?1 AND b.type=?2 AND b.worker=w.id)"     \
                       " AND NOT EXISTS(SELECT 1 FROM failure f WHERE f.task=?4 AND f.worker=w.id)")                   \
    X(WORKER_HAS_TYPE, "SELECT 1 FROM worker_type WHERE worker=?1 AND type=?2")                                        \
    X(WORKER_HAS_TAG, "SELECT 1 FROM worker_tag WHERE worker=?1 AND tag=?2")                                           \
    /* tags */                                                                                                         \
    X(TAG_INSERT, "INSERT INTO tag(uuid,name,description) VALUES(?1,?2,?3) RETURNING id")                              \
    X(TAG_GET, "SELECT id,uuid,name,description FROM tag INDEXED BY tag_uuid WHERE uuid=?1")                           \
    X(TAG_GET_KEY, "SELECT id,uuid,name,description FROM tag WHERE id=?1")                                             \
    X(TAG_GET_NAME, "SELECT id,uuid,name,description FROM tag INDEXED BY tag_name WHERE name=?1")                      \
    X(TAGS_LIST, "SELECT id,uuid,name,description FROM tag ORDER BY id")                                               \
    X(TAG_UPDATE, "UPDATE tag SET name=?2,description=?3 WHERE id=?1")                                                 \
    X(TAG_DELETE, "DELETE FROM tag WHERE id=?1")                                                                       \
    X(TAG_DROP_MEMBERS, "DELETE FROM worker_tag INDEXED BY worker_tag_tag WHERE tag=?1")                               \
    X(TAG_DROP_JOBS, "UPDATE job_hot SET tag=0,updated=CASE WHEN hidden THEN updated ELSE ?2 END WHERE tag=?1")        \
    X(TAG_RUNQ, "SELECT job,type FROM runq WHERE tag=?1 ORDER BY type,njp,ntp,job")                                    \
    X(TAG_DROP_RUNQ, "UPDATE runq SET tag=0 WHERE tag=?1")                                                             \
    X(WORKER_TAGS, "SELECT g.id,g.uuid,g.name,g.description FROM worker_tag m CROSS JOIN tag g ON g.id=m.tag"          \
                   " WHERE m.worker=?1 ORDER BY m.tag")                                                                \
    X(WORKER_TAGS_DELETE, "DELETE FROM worker_tag WHERE worker=?1")                                                    \
    X(WORKER_TAG_ADD, "INSERT OR IGNORE INTO worker_tag(worker,tag) VALUES(?1,?2)")                                    \
    /* sleep schedules */                                                                                              \
    X(SLEEP_GET, "SELECT s.worker,w.uuid,s.active,s.start,s.finish,s.next_check,s.days FROM sleep s"                   \
                 " CROSS JOIN worker w ON w.id=s.worker WHERE s.worker=?1")                                            \
    X(SLEEP_SET, "INSERT OR REPLACE INTO sleep(worker,active,start,finish,next_check,days) VALUES(?1,?2,?3,?4,?5,?6)") \
    X(SLEEP_SET_NEXT, "UPDATE sleep SET next_check=?2 WHERE worker=?1")                                                \
    X(SLEEP_DUE, "SELECT s.worker,w.uuid,s.active,s.start,s.finish,s.next_check,s.days FROM sleep s"                   \
                 " CROSS JOIN worker w ON w.id=s.worker WHERE s.active=1 AND (s.next_check IS NULL OR s.next_check<=?1)" \
                 " ORDER BY s.worker")                                                                                 \
    X(SLEEP_LIST, "SELECT s.worker,w.uuid,s.active,s.start,s.finish,s.next_check,s.days FROM sleep s"                  \
                  " CROSS JOIN worker w ON w.id=s.worker ORDER BY s.worker")                                           \
    /* blocklist and failures */                                                                                       \
    X(BLOCK_ADD, "INSERT INTO blocklist(job,type,worker) VALUES(?1,?2,?3) ON CONFLICT DO NOTHING")                     \
    X(BLOCK_REMOVE, "DELETE FROM blocklist WHERE job=?1 AND type=?2 AND worker=?3")                                    \
    X(BLOCK_CLEAR, "DELETE FROM blocklist WHERE job=?1")                                                               \
    X(BLOCK_LIST, "SELECT b.job,b.worker,w.uuid,w.name,b.type FROM blocklist b CROSS JOIN worker w ON w.id=b.worker"   \
                  " WHERE b.job=?1 ORDER BY w.name,b.worker,b.type")                                                   \
    X(FAILURE_ADD, "INSERT INTO failure(task,worker) VALUES(?1,?2) ON CONFLICT DO NOTHING")                            \
    X(FAILURES_OF_TASK, "SELECT count(*) FROM failure WHERE task=?1")                                                  \
    X(FAILURES_OF_WORKER, "SELECT count(*) FROM failure f INDEXED BY failure_worker CROSS JOIN task t ON t.id=f.task"  \
                          " WHERE f.worker=?1 AND f.task>=?2 AND f.task<?3 AND t.type=?4")                             \
    X(FAILURES_LIST, "SELECT " FL_WORKER_COLUMNS " FROM failure f CROSS JOIN worker w ON w.id=f.worker"                \
                     " WHERE f.task=?1 ORDER BY f.worker")                                                             \
    X(FAILURES_OF_JOB, "SELECT task,worker FROM failure WHERE task>=?1 AND task<?2 ORDER BY task,worker")              \
    X(FAILURES_DELETE, "DELETE FROM failure WHERE task>=?1 AND task<?2")                                               \
    /* check */                                                                                                        \
    X(CHECK_NEXT_JOB, "SELECT id FROM job WHERE id>?1 ORDER BY id LIMIT 1")                                            \
    X(CHECK_COUNTS, "SELECT count(*),sum(status=0),sum(status=1),sum(status=2),sum(status=3),sum(status=4),"           \
                    "sum(status=5),sum(status=6),sum(steps_total),sum(steps_done),sum(job<>?3) FROM task"              \
                    " WHERE id>=?1 AND id<?2")                                                                         \
    X(CHECK_DEPS, "SELECT t.id FROM task t LEFT JOIN (SELECT d.task AS task,count(*) AS n FROM dep d"                  \
                  " CROSS JOIN task x ON x.id=d.needs WHERE d.needs>=?1 AND d.needs<?2 AND x.status<>3"                \
                  " GROUP BY d.task) c ON c.task=t.id WHERE t.id>=?1 AND t.id<?2 AND t.open_deps<>coalesce(c.n,0)"     \
                  " LIMIT 1")                                                                                          \
    X(CHECK_RUNQ, "SELECT count(*) FROM runq INDEXED BY runq_job WHERE job=?1")                                        \
    X(CHECK_RUNQ_ROW, "SELECT count(*) FROM runq WHERE tag=?1 AND type=?2 AND njp=?3 AND ntp=?4 AND job=?5"            \
                      " AND share=(SELECT share FROM job_hot WHERE id=?5)")                                            \
    X(CHECK_JOB_COUNT, "SELECT c.status FROM job_count c WHERE c.n<>(SELECT count(*) FROM job_hot h"                   \
                       " WHERE h.status=c.status AND h.hidden=0) LIMIT 1")

#define FL_SQL_NAME(name, text) FL_SQL_##name,
typedef enum fl_sql { FL_SQL_LIST(FL_SQL_NAME) FL_SQL_COUNT } fl_sql;
#undef FL_SQL_NAME
// clang-format on

/* The text of a statement. */
const char *fl_sql_text(fl_sql id);

/* Slots for the statements that are put together from fixed pieces: lists by table and order, updates of a task by what
 * changes. */
#define FL_LIST_JOBS 0
#define FL_LIST_JOBS_MARKED 30
#define FL_LIST_JOBS_HIDDEN 31
#define FL_LIST_JOBS_CHANGED 32
#define FL_LIST_TASKS 34
#define FL_LIST_WORKERS 44
#define FL_LIST_TASKS_COMMANDS 54
#define FL_LISTS 64
#define FL_UPDATES 32

#endif
