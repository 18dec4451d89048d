/* kit.h - what stories share: steps one after the other, applications made of a few words, people
 * who ask, sign and look. Every verb may be called again and again: it says true when what it wants
 * is so. */
#pragma once
#include "../checks/book.h"
#include "../sim.h"

/* ---- plots: a story as a list of steps ---- */

typedef struct Plot Plot;
typedef struct {
    const char *name;
    bool (*done)(World *w, Plot *p);
} PlotStep;

struct Plot {
    const PlotStep *steps;
    int count, step;
    Ask ask, second;         /* two requests at a time */
    uint64_t attempt;        /* under way */
    uint64_t signing;        /* that @second is about */
    char *about;             /* what @ask is about: an answer to another one is no answer */
    char *text;              /* of the order that is being signed */
    int64_t since, slept, n; /* when the step began; looked last; a story's own number */
    bool flag;               /* a story's own word */
};

Plot *plot_begin(World *w, const PlotStep *steps, size_t count);
void plot_step(World *w);
bool plot_over(const World *w);
const char *plot_stands(const World *w);

#define PLOT_STORY(id, name_, weight_, shape_, steps_, end_)                                       \
    static void id##_begin(World *w)                                                               \
    {                                                                                              \
        (void)plot_begin(w, steps_, G_N_ELEMENTS(steps_));                                         \
    }                                                                                              \
    const Story story_##id = {.name = name_,                                                       \
                              .weight = weight_,                                                   \
                              .shape = shape_,                                                     \
                              .begin = id##_begin,                                                 \
                              .step = plot_step,                                                   \
                              .over = plot_over,                                                   \
                              .stands = plot_stands,                                               \
                              .end = end_}

/* ---- applications ---- */

typedef struct {
    const char *name;
    const char *server; /* an argument of its server, NULL = no server; engine.c knows some */
    unsigned maps;      /* so many ConfigMaps */
    bool kept;          /* and one that opted out of pruning */
    const char *train;  /* arguments of its job in dev, NULL = none */
    const char *job;    /* more lines of the job's spec, NULL */
    bool model;         /* the server needs the job's model */
    bool broken;        /* its document has a mistake */
    bool gate;          /* test wants final.accuracy >= 0.95 */
} KitApp;

extern const char KIT_ENVS[]; /* dev and test by themselves, prod by people */
void kit_push(World *w, const char *subject, const char *envs, const KitApp *apps, size_t count);
/* shape: dev, test, prod, one cluster each (more by chance), solo; apps by the kit are checked */
void kit_shape_apps(World *w, const char *const *apps);

/* ---- steps and an end that many stories have ---- */

bool kit_calm(World *w, Plot *p); /* faults are over for a while and nothing is under way */
void kit_one_run(World *w);       /* an end: whatever happened, one run was started */
/* web: the one application of most stories, a server and a ConfigMap */
void kit_web_shape(World *w);
void kit_web_push(World *w, const char *server);
bool kit_web_first(World *w, Plot *p);          /* pushes v1 */
bool kit_web_second(World *w, Plot *p);         /* pushes v2 */
bool kit_web_upstream(World *w, Plot *p);       /* the newest runs in dev and test */
bool kit_web_runs(World *w, Plot *p);           /* ... and in prod */
bool kit_web_second_runs(World *w, Plot *p);    /* v2 runs in prod */
bool kit_web_ask(World *w, Plot *p);            /* one promotion to prod is asked for */
bool kit_web_redeploy(World *w, Plot *p);       /* prod is signed anew, until that succeeded */
bool kit_web_latched(World *w, const Agent *a); /* it went back from what was promoted last */
/* ... with a job, and one cluster in each environment */
void kit_job_shape(World *w);
void kit_job_push(World *w, const char *server);
bool kit_job_first(World *w, Plot *p); /* pushes v1 */
/* ... where two people sign */
void kit_team_shape(World *w);
bool kit_team_past(World *w, const Plot *p); /* the followed attempt waits for nobody any more */
bool kit_team_bob(World *w, Plot *p);        /* bob signs it */

/* ---- looking ---- */

json_t *kit_unit(World *w, const char *app, const char *env); /* of status; full; NULL */
/* The newest commit is what runs there, whole, Healthy, with nothing under way. */
bool kit_runs_newest(World *w, const char *app, const char *env);
bool kit_healthy(World *w, const char *app, const char *env);
const BookAttempt *kit_attempt(World *w, uint64_t n); /* NULL */
/* The server's bytes in every cluster of the environment contain this word. */
bool kit_serves(World *w, const char *app, const char *env, const char *word);
Agent *kit_agent(World *w, const char *env);

/* ---- acting ---- */

/* What the followed attempt brings web's server to in prod, late maybe: what ended after its commit
 * because nobody answered in time is wanted all the same. If it never comes, agents refuse the
 * statement, and it is signed anew. 1 there, -1 ended before its commit, 0 goes on. */
int kit_comes(World *w, Plot *p, const char *server);
/* What people ask for next: "promote"; "redeploy" where the same bytes are committed already and do
 * not come, for agents refuse the statement (signed in a wrong year, or by a key that was revoked
 * since): it is signed anew. */
const char *kit_promotes(World *w, const char *app, const char *env);
/* By itself a release comes once. People ask for it again when its attempt failed under faults, and
 * after a redeploy, which brought what was committed before. */
bool kit_asks_again(World *w, const char *app, const char *env);
/* Asks and signs (who must) until the newest commit runs there. */
bool kit_bring(World *w, Plot *p, const char *app, const char *env);
/* One request for a new attempt; its number in p->attempt. */
bool kit_ask(World *w, Plot *p, const char *verb, const char *app, const char *env, json_t *more);
/* Signs what waits for people, one person at a time. */
void kit_sign(World *w, Plot *p, const char *app, const char *env);
/* @who signs p->attempt: 1 signed, -1 refused, 0 no answer yet. */
int kit_sign_as(World *w, Plot *p, const char *who);
/* Somebody's laptop is gone: in the next root another key is theirs, and the old one is revoked. */
void kit_new_key(World *w, const char *who);
/* Follows p->attempt: 1 succeeded, -1 ended otherwise, 0 goes on; signs. */
int kit_follow(World *w, Plot *p);
/* Any verb by alice: true when it was answered 2xx; a refusal goes to @ret_refused (transfer full). */
bool kit_verb(World *w, Plot *p, const char *verb, json_t *args, char **ret_refused);
/* Draft, signature by @person (NULL = the online key), order: true when the ledger has it. */
bool kit_order(World *w, Plot *p, const char *person, json_t *draft);
/* The world's root in its next version, signed by alice, is in force. */
bool kit_root(World *w, Plot *p, uint64_t version);
uint64_t kit_root_next(World *w);
/* Nobody hears of @a for so long. */
void kit_away(World *w, Agent *a, int64_t us);
json_t *kit_args(const char *app, const char *env); /* {app, env, reason} */
