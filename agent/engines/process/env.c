/* env.c - the environment that a program sees: PATH and what its object names, nothing of ours.
 * Secrets come from files or commands of the agent's own configuration, never from an object; their
 * values are not logged and not kept. */
#include "agent/engines/process/process.h"
#include "base/auto.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define SECRET_BYTES_MAX (64 * 1024)
#define SECRET_TIMEOUT_US (10 * SL_SECOND_US)
#define ENV_MAX 512
#define PATH_DEFAULT "PATH=/usr/local/bin:/usr/bin:/bin"

struct SlEnvJob {
    SlEngine *engine;
    GPtrArray *pairs;           /* of char* */
    GPtrArray *names, *secrets; /* of char*: still to resolve, in step */
    guint next;
    SlChild *child;
    SlTimer *timer;
    GError *error;
    SlEnvDone done;
    void *user;
};

static void step(void *data);

static void finish(SlEnvJob *job, GError *error /* consumed */)
{
    SlEnvDone done = job->done;
    void *user = job->user;
    g_autoptr(GPtrArray) pairs = g_ptr_array_ref(job->pairs);
    g_autoptr(GError) why = error;
    sl_env_cancel(job);
    done(why ? NULL : pairs, why, user);
}

void sl_env_cancel(SlEnvJob *job)
{
    if (!job)
        return;
    sl_child_free(job->child);
    sl_timer_free(job->timer);
    g_ptr_array_unref(job->pairs);
    g_ptr_array_unref(job->names);
    g_ptr_array_unref(job->secrets);
    g_clear_error(&job->error);
    g_free(job);
}

static bool take_value(SlEnvJob *job, GBytes *bytes, GError **error)
{
    size_t len;
    const char *text = g_bytes_get_data(bytes, &len),
               *name = g_ptr_array_index(job->names, job->next);
    const char *secret = g_ptr_array_index(job->secrets, job->next);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    if (len == 0 || memchr(text, '\0', len))
        return sl_throw(error, SLU_SECRET_MISSING, "secret `%s` is empty or not text", secret);
    g_ptr_array_add(job->pairs, g_strdup_printf("%s=%.*s", name, (int)len, text));
    job->next++;
    return true;
}

static void command_ended(const SlChildEnd *end, void *data)
{
    SlEnvJob *job = data;
    GError *error = NULL;
    job->child = NULL;
    const char *secret = g_ptr_array_index(job->secrets, job->next);
    if (end->code != 0 || end->truncated)
        sl_throw(&error, SLU_SECRET_MISSING, "secret `%s`: its command %s", secret,
                 end->timed_out   ? "took longer than 10 s"
                 : end->truncated ? "wrote more than 64 KiB"
                                  : "failed");
    else
        (void)!take_value(job, end->output, &error);
    if (error)
        finish(job, error);
    else
        sl_timer_arm(job->timer, 0);
}

static bool start_command(SlEnvJob *job, const json_t *command, const char *secret, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    size_t i;
    json_t *item;
    json_array_foreach ((json_t *)command, i, item)
        if (json_is_string(item))
            g_ptr_array_add(argv, (void *)json_string_value(item));
    if (argv->len == 0 || argv->len != json_array_size(command))
        return sl_throw(error, SLU_AGENT_CONFIG, "secrets.%s.command: must be a list of texts",
                        secret);
    g_ptr_array_add(argv, NULL);
    SlSpawn how = {.argv = (const char *const *)argv->pdata,
                   .output_max = SECRET_BYTES_MAX,
                   .timeout_us = SECRET_TIMEOUT_US};
    job->child = sl_spawn(job->engine->loop, &how, command_ended, job, error);
    return job->child != NULL;
}

/* Asks for one secret; false and error if it is missing. A command goes on in the background. */
static bool resolve_next(SlEnvJob *job, GError **error)
{
    const char *secret = g_ptr_array_index(job->secrets, job->next);
    const json_t *how = json_object_get(job->engine->secrets, secret);
    const char *path = sl_json_str(how, "file");
    const json_t *command = sl_json_at(how, "command");
    if (!how || (!path && !json_is_array(command)))
        return sl_throw(error, SLU_SECRET_MISSING,
                        "secret `%s` is not in the agent's configuration", secret);
    if (!path)
        return start_command(job, command, secret, error) ||
               sl_prefix(error, "secret `%s`", secret);
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) bytes = sl_file_read_secret(path, SECRET_BYTES_MAX, &why);
    if (!bytes)
        return sl_throw(error, SLU_SECRET_MISSING, "secret `%s`: %s", secret, why->message);
    return take_value(job, bytes, error);
}

static void step(void *data)
{
    SlEnvJob *job = data;
    GError *error = g_steal_pointer(&job->error);
    while (!error && job->next < job->names->len && !job->child)
        (void)!resolve_next(job, &error);
    if (error || !job->child)
        finish(job, error);
}

static bool add_entry(SlEnvJob *job, const json_t *entry, size_t i, GError **error)
{
    const char *name = sl_json_str(entry, "name"), *value = sl_json_str(entry, "value"),
               *secret = sl_json_str(entry, "secret");
    if (!name || !*name || strpbrk(name, "= \n") || i >= ENV_MAX)
        return sl_throw(error, SLU_OBJECT_SPEC,
                        "spec.env.%zu.name: must be a variable's name, at most %d variables", i,
                        ENV_MAX);
    if ((value != NULL) == (secret != NULL))
        return sl_throw(error, SLU_OBJECT_SPEC, "spec.env.%zu (%s): give either value or secret", i,
                        name);
    if (value) {
        g_ptr_array_add(job->pairs, g_strconcat(name, "=", value, NULL));
        return true;
    }
    g_ptr_array_add(job->names, g_strdup(name));
    g_ptr_array_add(job->secrets, g_strdup(secret));
    return true;
}

SlEnvJob *sl_env_resolve(SlEngine *engine, const json_t *job_spec, SlEnvDone done, void *user)
{
    SlEnvJob *job = g_new0(SlEnvJob, 1);
    job->engine = engine;
    job->pairs = g_ptr_array_new_with_free_func(g_free);
    job->names = g_ptr_array_new_with_free_func(g_free);
    job->secrets = g_ptr_array_new_with_free_func(g_free);
    job->done = done;
    job->user = user;
    job->timer = sl_timer_new(engine->loop, step, job);
    g_ptr_array_add(job->pairs, g_strdup(PATH_DEFAULT));
    size_t i;
    json_t *entry;
    json_array_foreach (sl_json_at(job_spec, "env"), i, entry)
        if (!job->error)
            (void)!add_entry(job, entry, i, &job->error);
    sl_timer_arm(job->timer, 0);
    return job;
}

bool sl_port_free(uint16_t port)
{
    int one = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    sl_autofd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0)
        return false;
    return bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
}

uint16_t sl_port_take(SlEngine *engine)
{
    for (int tries = engine->port_high - engine->port_low + 1; tries > 0; tries--) {
        uint16_t port = engine->port_next;
        engine->port_next = port >= engine->port_high ? engine->port_low : (uint16_t)(port + 1);
        if (!sl_port_declared(engine, port) && sl_port_free(port))
            return port;
    }
    return 0;
}

const char *sl_model_digest(const char *reference)
{
    const char *at = reference;
    if (at && g_str_has_prefix(at, "model://"))
        at += strlen("model://");
    if (!at || !g_str_has_prefix(at, "sha256:") ||
        strlen(at) != strlen("sha256:") + SL_HEX_DIGEST_LEN)
        return NULL;
    return at + strlen("sha256:");
}
