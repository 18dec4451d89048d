/* shell.c - puts the agent together and runs the brain: one step per input, its effects at once, a
 * TICK when it asks for one. */
#include "agent/shell.h"
#include "base/auto.h"
#include "base/digest.h"
#include "runtime/atomicfile.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 2
#define WORK_MAX 256
#define TICK_MAX_US (10 * SL_SECOND_US) /* a wrong clock or a forgotten wake costs at most this */
#define STATUS_EVERY_US (SL_SECOND_US / 2)
#define STATUS_SHARE 50 /* of time: the whole status of 1,000 applications takes 0.1 s to write */

static int64_t now_us(void)
{
    return sl_clock_real.utc_us(NULL);
}

static GBytes *blob(const char *digest, void *user)
{
    SlShell *shell = user;
    return sl_blobs_get(shell->blobs, digest);
}

void sl_shell_status_soon(SlShell *shell)
{
    if (shell->status_armed || shell->stopping)
        return;
    shell->status_armed = true; /* once for a burst, and never put off by the next input */
    sl_timer_arm(shell->status_timer, MAX(STATUS_EVERY_US, shell->status_took_us * STATUS_SHARE));
}

void sl_shell_step(SlShell *shell, const SlAgentInput *input)
{
    if (shell->stopping)
        return;
    g_autoptr(SlAgentOutput) out = sl_agent_output_new();
    int64_t now = now_us();
    SlAgentInput timed = *input;
    timed.monotonic_us = sl_clock_real.monotonic_us(NULL);
    sl_agent_step(shell->brain, &timed, now, out);
    for (guint i = 0; i < out->effects->len; i++)
        sl_shell_perform(shell, g_ptr_array_index(out->effects, i));
    int64_t wait = out->next_us == INT64_MAX ? TICK_MAX_US : out->next_us - now;
    sl_timer_arm(shell->tick, CLAMP(wait, 1000, TICK_MAX_US));
    if (input->type != SL_AGENT_TICK)
        sl_shell_status_soon(shell);
}

static void ticked(void *data)
{
    SlAgentInput input = {.type = SL_AGENT_TICK};
    sl_shell_step(data, &input);
}

static void saved(void *data)
{
    SlShell *shell = data;
    g_autoptr(GError) error = g_steal_pointer(&shell->saved_error);
    SlAgentInput input = {
        .type = SL_AGENT_SAVED, .generation = shell->saved_generation, .error = error};
    sl_shell_step(shell, &input);
}

static void status_due(void *data)
{
    SlShell *shell = data;
    int64_t began_us = sl_clock_real.monotonic_us(NULL);
    shell->status_armed = false;
    sl_shell_write_status(shell);
    shell->status_took_us = sl_clock_real.monotonic_us(NULL) - began_us;
}

char *sl_shell_exec_path(const SlAgentConf *conf)
{
    if (conf->exec)
        return g_strdup(conf->exec);
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    g_autofree char *folder = g_path_get_dirname(self);
    return g_build_filename(folder, "sluice-exec", NULL);
}

/* ---- opening ---- */

static bool open_dir(SlShell *shell, GError **error)
{
    static const char *const folders[] = {"state", "blobs", "models", "engine", "keys", NULL};
    g_autoptr(GError) why = NULL;
    for (const char *const *folder = folders; *folder; folder++) {
        g_autofree char *path = sl_agent_conf_path(shell->conf, *folder);
        if (!sl_dir_make(path, 0700, &why) || access(path, W_OK) != 0)
            return sl_throw(error, SLU_AGENT_STATE_DIR, "the state folder %s can't be written: %s",
                            path, why ? why->message : g_strerror(errno));
    }
    g_autofree char *state = sl_agent_conf_path(shell->conf, "state"),
                    *probe = sl_agent_conf_path(shell->conf, "state/.probe");
    if (!sl_file_write_atomic(probe, "", 0, 0600, &why))
        return sl_throw(error, SLU_AGENT_STATE_DIR, "the state folder %s can't be written: %s",
                        state, why->message);
    unlink(probe);
    if (sl_dir_lock(state, &shell->lock_fd, &why))
        return true;
    if (sl_error_class(why) == SL_CLASS_CONFLICT)
        return sl_throw(error, SLU_AGENT_RUNNING, "another agent runs on %s", shell->conf->dir);
    return sl_throw(error, SLU_AGENT_STATE_DIR, "%s", why->message);
}

static bool open_keys(SlShell *shell, GError **error)
{
    g_autofree char *sign = sl_agent_conf_path(shell->conf, "keys/agent"),
                    *curve = sl_agent_conf_path(shell->conf, "keys/curve");
    uint8_t random[16];
    sl_random_bytes(random, sizeof random);
    g_autofree char *hex = sl_hex(random, sizeof random);
    memcpy(shell->boot, hex, sizeof shell->boot);
    return sl_signing_key_load(sign, false, "", shell->secret, error) &&
           sl_curve_keys_load(curve, false, &shell->curve, error);
}

static GBytes *read_slot(SlShell *shell, const char *name)
{
    g_autofree char *path = sl_agent_conf_path(shell->conf, name);
    return sl_file_read(path, SL_AGENT_SLOT_MAX, NULL);
}

static bool open_brain(SlShell *shell, GError **error)
{
    g_autoptr(GBytes) a = read_slot(shell, "state/a"), b = read_slot(shell, "state/b");
    SlAgentConfig config = {.secret = shell->secret,
                            .cluster = shell->conf->cluster,
                            .env = shell->conf->env,
                            .version = SLUICE_VERSION,
                            .boot = shell->boot,
                            .root_digest = shell->conf->root,
                            .blob = blob,
                            .user = shell};
    shell->brain = sl_agent_new(&config, a, b, error);
    return shell->brain != NULL;
}

static bool open_stores(SlShell *shell, GError **error)
{
    g_autofree char *blobs = sl_agent_conf_path(shell->conf, "blobs"),
                    *models = sl_agent_conf_path(shell->conf, "models");
    shell->queue = sl_workq_new(shell->loop, WORKERS, WORK_MAX);
    SlModelCacheConfig config = {
        .store_dir = shell->conf->model_store, .cache_dir = models, .queue = shell->queue};
    shell->blobs = sl_blobs_open(blobs, error);
    shell->models = shell->blobs ? sl_models_open(&config, error) : NULL;
    return shell->models != NULL;
}

static bool open_engine(SlShell *shell, GError **error)
{
    g_autofree char *below = g_build_filename("engine", shell->conf->engine, NULL);
    g_autofree char *dir = sl_agent_conf_path(shell->conf, below),
                    *exec = sl_shell_exec_path(shell->conf);
    g_autoptr(json_t) options = sl_agent_conf_options(shell->conf);
    shell->ops = sl_engine_find(shell->conf->engine);
    if (!shell->ops)
        return sl_throw(error, SLU_ENGINE_UNKNOWN, "engine `%s` is not known", shell->conf->engine);
    if (!sl_dir_make(dir, 0700, error))
        return false;
    shell->engine_events = sl_shell_engine_events(shell);
    SlEngineConfig config = {.state_dir = dir,
                             .cluster = shell->conf->cluster,
                             .options = options,
                             .exec_path = exec,
                             .loop = shell->loop,
                             .log = shell->log,
                             .clock = &sl_clock_real,
                             .models = shell->models,
                             .blob = blob,
                             .blob_user = shell,
                             .events = &shell->engine_events};
    shell->engine = shell->ops->open(&config, error);
    return shell->engine || sl_prefix(error, "engine %s", shell->conf->engine);
}

static bool open_link(SlShell *shell, GError **error)
{
    uint8_t server_key[32];
    if (!sl_unhex(shell->conf->curve, server_key, sizeof server_key))
        return sl_throw(error, SLU_AGENT_CONFIG, "agent.json: curve: must be 64 hex digits");
    shell->client_events = sl_shell_client_events(shell);
    SlClientConfig config = {.endpoint = shell->conf->coordinator,
                             .server_key = server_key,
                             .keys = &shell->curve,
                             .role = SL_ROLE_AGENT,
                             .events = &shell->client_events,
                             .loop = shell->loop};
    shell->client = sl_client_new(&config, error);
    return shell->client != NULL;
}

SlShell *sl_shell_open(SlAgentConf *conf, SlLoop *loop, SlLog *log, GError **error)
{
    SlShell *shell = g_new0(SlShell, 1);
    shell->conf = conf;
    shell->loop = loop;
    shell->log = log;
    shell->lock_fd = -1;
    shell->started_us = now_us();
    shell->tick = sl_timer_new(loop, ticked, shell);
    shell->saved_timer = sl_timer_new(loop, saved, shell);
    shell->status_timer = sl_timer_new(loop, status_due, shell);
    shell->fetcher = sl_fetcher_new(shell);
    if (open_dir(shell, error) && open_keys(shell, error) && open_stores(shell, error) &&
        open_brain(shell, error) && open_engine(shell, error))
        return shell;
    sl_shell_close(shell);
    return NULL;
}

void sl_shell_start(SlShell *shell)
{
    g_autoptr(GError) error = NULL;
    SlAgentInput input = {.type = SL_AGENT_START};
    sl_shell_step(shell, &input);
    if (!open_link(shell, &error)) {
        sl_log_error(shell->log, "link", error);
        sl_loop_quit(shell->loop, 1);
    }
    sl_shell_write_status(shell);
}

void sl_shell_close(SlShell *shell)
{
    if (!shell)
        return;
    shell->stopping = true;
    sl_client_free(shell->client);
    if (shell->engine)
        shell->ops->close(shell->engine);
    if (shell->queue)
        sl_workq_free(shell->queue);
    sl_models_close(shell->models);
    sl_agent_free(shell->brain);
    sl_blobs_close(shell->blobs);
    sl_fetcher_free(shell->fetcher);
    sl_timer_free(shell->tick);
    sl_timer_free(shell->saved_timer);
    sl_timer_free(shell->status_timer);
    sl_close_fd(&shell->lock_fd);
    sodium_memzero(shell->secret, sizeof shell->secret);
    sodium_memzero(&shell->curve, sizeof shell->curve);
    g_clear_error(&shell->saved_error);
    g_free(shell->disconnected_why);
    sl_agent_conf_free(shell->conf);
    g_free(shell);
}
