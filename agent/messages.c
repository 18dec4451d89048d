/* messages.c - between the wire and the brain's inputs: one function per message of the
 * coordinator. */
#include "agent/shell.h"
#include "base/digest.h"
#include "link/convert.h"
#include <string.h>

#define LOG_BYTES_MAX (96 * 1024) /* the row of messages.def is 128 KiB */

static bool send_envelope(SlShell *shell, const Sluice__Wire__Envelope *envelope)
{
    return shell->client && sl_client_send(shell->client, envelope);
}

void sl_shell_send_hello(SlShell *shell, const SlAgentEffect *e)
{
    uint8_t nonce[16];
    Sluice__Wire__Hello hello = SLUICE__WIRE__HELLO__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    if (!e->nonce || !sl_unhex(e->nonce, nonce, sizeof nonce))
        return;
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.root_version = e->root_version;
    hello.registry_version = e->registry_version;
    hello.format_max = e->format_max;
    hello.cluster = shell->conf->cluster;
    hello.version = (char *)SLUICE_VERSION;
    hello.term = e->term;
    hello.head_version = e->head_version;
    hello.state_lost = e->state_lost;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    send_envelope(shell, &envelope);
}

void sl_shell_send_signed(SlShell *shell, const SlAgentEffect *e)
{
    Sluice__Wire__Signed statement = SLUICE__WIRE__SIGNED__INIT;
    Sluice__Wire__Report report = SLUICE__WIRE__REPORT__INIT;
    Sluice__Wire__Seal seal = SLUICE__WIRE__SEAL__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    sl_wire_signed(e->statement, &statement);
    report.report = seal.seal = &statement;
    if (e->type == SL_AGENT_DO_REPORT) {
        envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_REPORT;
        envelope.report = &report;
    } else {
        envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_SEAL;
        envelope.seal = &seal;
    }
    send_envelope(shell, &envelope); /* not connected: dropped, the brain repeats it */
    g_free(statement.sigs);
}

static char *fresh_nonce(void)
{
    uint8_t nonce[16];
    sl_random_bytes(nonce, sizeof nonce);
    return sl_hex(nonce, sizeof nonce);
}

static void connected(void *user)
{
    SlShell *shell = user;
    g_autofree char *nonce = fresh_nonce();
    SlAgentInput input = {.type = SL_AGENT_CONNECTED, .nonce = nonce};
    shell->connected = true;
    sl_log(shell->log, SL_LOG_INFO, "connected", "coordinator", shell->conf->coordinator, NULL);
    sl_shell_step(shell, &input);
}

static void disconnected(void *user, const char *why)
{
    SlShell *shell = user;
    SlAgentInput input = {.type = SL_AGENT_DISCONNECTED};
    bool was = shell->connected;
    shell->connected = false;
    if (g_strcmp0(shell->disconnected_why, why) != 0 || was)
        sl_log(shell->log, SL_LOG_WARNING, "disconnected", "coordinator", shell->conf->coordinator,
               "why", why ? why : "", NULL);
    g_free(shell->disconnected_why);
    shell->disconnected_why = g_strdup(why);
    sl_shell_status_soon(shell);
    sl_fetcher_drop(shell->fetcher);
    if (was)
        sl_shell_step(shell, &input);
}

static void on_reset(SlShell *shell, const Sluice__Wire__Reset *message)
{
    g_autofree char *nonce = fresh_nonce();
    SlAgentInput input = {.type = SL_AGENT_RESET, .nonce = nonce, .reason = message->reason};
    sl_fetcher_drop(shell->fetcher);
    sl_shell_step(shell, &input);
}

/* NULL if one of them is malformed: then none is used. */
static GPtrArray *signed_list(SlShell *shell, Sluice__Wire__Signed *const *list, size_t count)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
    for (size_t i = 0; i < count; i++) {
        g_autoptr(GError) error = NULL;
        SlSigned *s = sl_wire_to_signed(list[i], &error);
        if (!s) {
            sl_log_error(shell->log, "steps-malformed", error);
            return NULL;
        }
        g_ptr_array_add(all, s);
    }
    return g_steal_pointer(&all);
}

static void on_steps(SlShell *shell, const Sluice__Wire__Steps *message)
{
    g_autoptr(GPtrArray) roots = signed_list(shell, message->roots, message->n_roots);
    g_autoptr(GPtrArray) registries =
        signed_list(shell, message->registries, message->n_registries);
    SlAgentInput input = {.type = SL_AGENT_STEPS, .roots = roots, .registries = registries};
    if (roots && registries)
        sl_shell_step(shell, &input);
}

static void on_head(SlShell *shell, const Sluice__Wire__Head *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) head = sl_wire_to_signed(message->head, &error);
    SlAgentInput input = {.type = SL_AGENT_HEAD, .statement = head};
    sl_client_return(shell->client, (int64_t)message->return_ms * 1000);
    if (head)
        sl_shell_step(shell, &input);
    else
        sl_log_error(shell->log, "head-malformed", error);
}

static void on_report_ack(SlShell *shell, const Sluice__Wire__ReportAck *message)
{
    SlAgentInput input = {.type = SL_AGENT_REPORT_ACK,
                          .boot = message->boot,
                          .counter = message->counter,
                          .want_full = message->want_full};
    sl_shell_step(shell, &input);
}

static void on_seal_ack(SlShell *shell, const Sluice__Wire__SealAck *message)
{
    if (message->digest.len != 32)
        return;
    g_autofree char *digest = sl_hex(message->digest.data, message->digest.len);
    SlAgentInput input = {.type = SL_AGENT_SEAL_ACK,
                          .digest = digest,
                          .message = *message->refused ? message->refused : NULL};
    sl_shell_step(shell, &input);
}

/* ---- logs: read-only, bounded, only of what runs here ---- */

/* "ModelServer/serve" or "gitops.sluice/ModelServer/serve" */
static void object_of(const char *text, const char **ret_kind, char **ret_name)
{
    const char *slash = strrchr(text, '/');
    *ret_name = g_strdup(slash ? slash + 1 : text);
    *ret_kind = g_str_has_prefix(text, "TrainingJob") ? SL_API_GROUP "/TrainingJob"
                                                      : SL_API_GROUP "/ModelServer";
}

static void on_log_request(SlShell *shell, const Sluice__Wire__LogRequest *ask)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = NULL, *message = NULL;
    const char *kind;
    SlEngineLog log = {0};
    object_of(ask->object, &kind, &name);
    SlEngineRef ref = {ask->app, kind, "-", name};
    SlEngineLogAsk what = {.ref = &ref,
                           .run_id = *ask->run_id ? ask->run_id : NULL,
                           .rank = ask->rank,
                           .err = ask->stderr_stream,
                           .tail = ask->tail,
                           .previous = ask->previous,
                           .offset = ask->offset,
                           .max = MIN(ask->max ? ask->max : LOG_BYTES_MAX, LOG_BYTES_MAX)};
    g_autoptr(GBytes) bytes = shell->ops->log(shell->engine, &what, &log, &error);
    Sluice__Wire__LogData data = SLUICE__WIRE__LOG_DATA__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    data.request = ask->request;
    data.offset = log.offset;
    data.size = log.size;
    data.finished = log.finished;
    if (bytes)
        data.data.data = (uint8_t *)(uintptr_t)g_bytes_get_data(bytes, &data.data.len);
    message = error ? g_strdup(error->message) : g_strdup("");
    data.error = message;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_LOG_DATA;
    envelope.log_data = &data;
    send_envelope(shell, &envelope);
}

static void received(void *user, const Sluice__Wire__Envelope *envelope)
{
    SlShell *shell = user;
    switch (envelope->body_case) {
    case SLUICE__WIRE__ENVELOPE__BODY_RESET:
        on_reset(shell, envelope->reset);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_STEPS:
        on_steps(shell, envelope->steps);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_HEAD:
        on_head(shell, envelope->head);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_CHUNK:
        sl_fetcher_chunk(shell->fetcher, envelope->chunk);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_REPORT_ACK:
        on_report_ack(shell, envelope->report_ack);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_SEAL_ACK:
        on_seal_ack(shell, envelope->seal_ack);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_LOG_REQUEST:
        on_log_request(shell, envelope->log_request);
        break;
    default:
        break; /* the link lets nothing else through */
    }
}

static void dropped(void *user, const GError *error)
{
    SlShell *shell = user;
    sl_log_error(shell->log, "message-dropped", error);
}

SlClientEvents sl_shell_client_events(SlShell *shell)
{
    return (SlClientEvents){.user = shell,
                            .connected = connected,
                            .disconnected = disconnected,
                            .received = received,
                            .dropped = dropped};
}
