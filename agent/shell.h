/* shell.h - the agent's shell around its brain: turns messages, files and engine events into inputs
 * and performs effects. It decides nothing. Loop thread; the work queue only hashes and copies
 * models. */
#pragma once
#include "agent/brain/agent.h"
#include "agent/config.h"
#include "agent/store/blobs.h"
#include "agent/store/models.h"
#include "base/log.h"
#include "link/client.h"
#include "runtime/logsink.h"
#include "runtime/workq.h"
#include "sluice/engine.h"

typedef struct SlFetcher SlFetcher;
typedef struct SlShell SlShell;
struct SlShell {
    SlAgentConf *conf;
    SlLoop *loop;
    SlLogSink *sink;
    SlLog *log;
    SlWorkq *queue;
    SlBlobs *blobs;
    SlModelCache *models;
    SlAgent *brain;
    const SlEngineOps *ops;
    SlEngine *engine;
    SlEngineEvents engine_events;
    SlClient *client;
    SlClientEvents client_events;
    SlFetcher *fetcher;
    SlTimer *tick, *status_timer, *saved_timer;
    uint8_t secret[64];
    SlCurveKeys curve;
    char boot[33];
    int lock_fd;
    uint64_t saved_generation;
    GError *saved_error;
    bool connected, stopping, status_armed, status_failed;
    char *disconnected_why;
    int64_t started_us;
    int64_t status_took_us; /* to write status.json */
};

/* shell.c. Errors: AGENT_CONFIG, AGENT_STATE_DIR, AGENT_RUNNING, KEY_RIGHTS, EXEC_MISSING, ... each
 * names what to do. */
SL_MUST_USE SlShell *sl_shell_open(SlAgentConf *conf /* taken */, SlLoop *loop, SlLog *log,
                                   GError **error);
void sl_shell_start(SlShell *shell); /* connects, says START */
void sl_shell_close(SlShell *shell);
void sl_shell_step(SlShell *shell, const SlAgentInput *input);
void sl_shell_status_soon(SlShell *shell); /* status.json is written within half a second, or 50 times as long as it takes */
char *sl_shell_exec_path(const SlAgentConf *conf); /* of sluice-exec. (transfer full) */
/* effects.c */
void sl_shell_perform(SlShell *shell, const SlAgentEffect *effect);
SlEngineEvents sl_shell_engine_events(SlShell *shell);
/* messages.c */
SlClientEvents sl_shell_client_events(SlShell *shell);
void sl_shell_send_signed(SlShell *shell, const SlAgentEffect *effect);
void sl_shell_send_hello(SlShell *shell, const SlAgentEffect *effect);
/* fetcher.c */
SlFetcher *sl_fetcher_new(SlShell *shell);
void sl_fetcher_free(SlFetcher *fetcher);
void sl_fetcher_ask(SlFetcher *fetcher, const char *digest, bool is_statement);
void sl_fetcher_drop(SlFetcher *fetcher); /* all of them: connection lost or RESET */
void sl_fetcher_chunk(SlFetcher *fetcher, const Sluice__Wire__Chunk *chunk);
/* status.c */
void sl_shell_write_status(SlShell *shell);
int sl_command_status(const char *dir, bool as_json);
int sl_command_doctor(const char *dir);
/* try.c */
int sl_command_try(const char *dir);
/* join.c */
typedef struct {
    const char *token, *dir, *coordinator, *engine, *model_store, *exec;
    const char *labels; /* "k=v,k=v" or NULL */
    json_t *options;    /* of the engine */
    int64_t timeout_us; /* 0 = none */
    bool wait; /* until a person signed the registry, or only until it is known that one must */
} SlJoinAsk;
/* @ret_pending: asked and waiting for a person; DIR/join.json is kept and `run` goes on with it. */
SL_MUST_USE bool sl_join(const SlJoinAsk *ask, SlLoop *loop, void (*say)(const char *line),
                         bool *ret_pending, GError **error);
/* pending.c: join.json (it holds the token: mode 0600) */
SL_MUST_USE bool sl_join_keep(const SlJoinAsk *ask, GError **error);
void sl_join_done(const char *dir);
/* Goes on with a join that waits, if DIR has one and no agent.json. True if there is nothing (more)
 * to wait for; false and no error if the loop was ended by a signal. */
SL_MUST_USE bool sl_join_resume(const char *dir, SlLoop *loop, void (*say)(const char *line),
                                GError **error);
